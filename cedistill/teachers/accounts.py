"""What an LLM teacher left beside its run: the account of what was asked and how it was answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cedistill.errors import InputError, shown

_MEMBERS = ".members"
_REPORT = ".report.json"


def read_account(run: Path) -> dict[str, Any]:
    """Return the account of the teacher that wrote a run, empty where there is none.

    Args:
        run: a run that ``cedistill teach`` wrote: the output, or a member's in ``OUTPUT.members/``. The account is in
            ``OUTPUT.report.json``.

    Raises:
        InputError: a report that is no such JSON.
    """
    folder = run.resolve().parent
    places = [run.with_name(run.name + _REPORT)]
    if folder.name.endswith(_MEMBERS):
        places.append(folder.with_name(folder.name.removesuffix(_MEMBERS) + _REPORT))
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return {}
    try:
        teachers = json.loads(path.read_text(encoding="utf-8"))["teachers"]
        return next((one for one in teachers if Path(one["run"]).name == run.name), {})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path}:1: expected the report of `cedistill teach`, found {shown(repr(error))}; make or remove it"
        ) from None
