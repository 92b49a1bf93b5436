"""One thing looked at: whether it is there, what was found, and the cure where something is lacking."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

logger = logging.getLogger(__name__)

OK, LACKS, BROKEN = "ok", "lacks", "broken"


class Finding(NamedTuple):
    """What was looked at, and how it is.

    ``state`` is ``ok``, ``lacks`` (all works without it, though slower or less of it) or ``broken``.
    """

    group: str
    name: str
    state: str
    found: str
    cure: str = ""


Check = Callable[[], Sequence[Finding]]
"""Looks at one matter."""


def guarded(group: str, name: str, check: Check) -> list[Finding]:
    """Return what a check finds; one that fails is itself a finding."""
    try:
        return list(check())
    except Exception as error:  # a doctor that falls ill helps nobody
        logger.info("%s %s", group, name, exc_info=True)
        said = " ".join(str(error).split()) or type(error).__name__
        cure = "run again with --verbose for the traceback (cedistill -v doctor)"
        return [Finding(group, name, BROKEN, f"the check itself failed: {type(error).__name__}: {said}", cure)]
