"""Teacher signals from anything that ranks: members one after the other, each kept, then their combination."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cedistill.data.collections import Collection
from cedistill.data.files import writing
from cedistill.data.runs import Run, top, write_run
from cedistill.errors import InputError, unknown
from cedistill.teachers.llm.journal import Journal, open_journal, read_journal
from cedistill.teachers.llm.models import Guess, model_name, open_model
from cedistill.teachers.llm.pace import Budget
from cedistill.teachers.llm.settings import Settings, templates
from cedistill.teachers.llm.teach import Taught
from cedistill.teachers.llm.teach import teach as llm_teach

DEFAULT_COMBINATION = "mean"
LLM = "llm"

Advance = Callable[[int, int, str], None]
Phase = Callable[[str], Advance]


@dataclass(frozen=True)
class Wanted:
    """What `teach` is to make: references of teachers, how they are combined, and how LLMs are asked.

    ``depth`` is the candidates of a query that are scored: all, where it is None, but for LLMs (see ``Settings``).
    ``journal`` is by default ``OUTPUT.journal.jsonl``.
    """

    teachers: Sequence[str]
    combine: str | None = None
    depth: int | None = None
    precision: str = "auto"
    llm: Settings = field(default_factory=Settings)
    journal: Path | None = None
    max_requests: int | None = None
    max_tokens: int | None = None


def check(wanted: Wanted, output: Path) -> list[tuple[str, str]]:
    """Return kind and name of each teacher.

    Raises:
        InputError: an unknown teacher or combination, LLM settings that do not fit, an output that is no file.
    """
    from cedistill.teachers.members import parse_teacher

    teachers = [parse_teacher(reference) for reference in wanted.teachers]
    if wanted.combine is not None:
        from cedistill.teachers.combine import COMBINATIONS

        if wanted.combine not in COMBINATIONS:
            raise InputError(unknown("combination", wanted.combine, COMBINATIONS))
    if wanted.combine is not None and len(teachers) == 1:
        raise InputError("expected several --teacher to combine, found one; name more, or drop --combine")
    asked = [name for kind, name in teachers if kind == LLM]
    if asked:
        templates(wanted.llm)
    for name in asked:
        model_name(name, wanted.llm)
    if output.is_dir() or (output.exists() and not output.is_file() and (asked or len(teachers) > 1)):
        raise InputError(f"{output}: expected the name of a file, found none; other files are written beside it")
    return teachers


def teach(wanted: Wanted, collection: Collection, candidates: Run, output: Path, phase: Phase) -> dict[str, Any]:
    """Make the signals of each teacher and write them: one run, or each member's and their combination.

    Args:
        wanted: what to make.
        collection: where the texts are.
        candidates: query id → document id → score of the first stage.
        output: the run to write. Beside it, under its name and an ending: ``.members/`` (each teacher's run, where
            there are several), ``.journal.jsonl`` and ``.report.json`` (where one is an LLM). Beside the run of an LLM
            asked in shuffled orders: ``.confidence.tsv``.
        phase: starts a phase of work by name and returns what reports its progress.

    Returns:
        The report: ``output``, ``combine``, and for each of ``teachers`` its ``teacher``, ``run`` and account.

    Raises:
        InputError: bad input; nothing is written.
        TeacherStopped: an LLM could not go on; its journal has what was answered, and no run of it is written.
    """
    teachers = check(wanted, output)
    runs: list[Run] = []
    accounts: list[dict[str, Any]] = []
    budget = Budget(wanted.max_requests, wanted.max_tokens)
    asks = any(kind == LLM for kind, _ in teachers)
    names = member_names(teachers)
    with _journal(wanted, output) if asks else _no_journal() as journal:
        for reference, (kind, name), member in zip(wanted.teachers, teachers, names, strict=True):
            place = output if len(teachers) == 1 else _member_path(output, member)
            account: dict[str, Any] = {"teacher": reference, "run": str(place)}
            if kind == LLM:
                model = open_model(name, wanted.llm)
                taught = llm_teach(model, collection, candidates, wanted.llm, journal, budget, phase(reference))
                _check_run(taught, reference)
                run, account = taught.run, account | taught.account
                if taught.agreement:
                    account["confidence"] = str(_write_confidence(place, taught.agreement))
            else:
                run = _member(reference, collection, candidates, wanted, phase(reference))
            write_run(place, run, member)
            runs.append(run)
            accounts.append(account)
    how = None
    if len(teachers) > 1:
        from cedistill.teachers.combine import combine

        how = wanted.combine or DEFAULT_COMBINATION
        write_run(output, combine(runs, how), f"teachers-{how}")
    report = {"output": str(output), "combine": how, "teachers": accounts}
    if asks:
        with writing(_beside(output, ".report.json")) as stream:
            stream.write(json.dumps(report, indent=1) + "\n")
    return report


def estimate(wanted: Wanted, collection: Collection, candidates: Run, output: Path) -> dict[str, Any]:
    """Return what the LLM teachers would ask and take beyond what the journal has: tokens are about right.

    Args:
        wanted: as for :func:`teach`.
        collection: where the texts are.
        candidates: query id → document id → score of the first stage.
        output: the run that would be written; its journal counts. Nothing is asked or written.

    Returns:
        For each of ``teachers`` that is an LLM: ``requests``, ``from_journal``, ``prompt_tokens``,
        ``completion_tokens``, ``cost`` (None without prices).
    """
    teachers = check(wanted, output)
    journal = read_journal(_journal_path(wanted, output))
    found = []
    for reference, (kind, name) in zip(wanted.teachers, teachers, strict=True):
        if kind != LLM:
            continue
        model = Guess(model_name(name, wanted.llm))
        free = replace(wanted.llm, requests_per_minute=None, tokens_per_minute=None)
        account = llm_teach(model, collection, candidates, free, journal, Budget()).account
        parts = ("requests", "from_journal", "prompt_tokens", "completion_tokens", "cost")
        found.append({"teacher": reference, **{part: account[part] for part in parts}})
    return {"dry_run": True, "teachers": found}


def member_names(teachers: Sequence[tuple[str, str]]) -> list[str]:
    """Return a file name, without an ending, for each teacher: its kind and its model, numbered if not unique."""
    names: list[str] = []
    for kind, name in teachers:
        model = re.sub(r"\.(trec|gz|txt)\b", "", Path(name).name)
        plain = re.sub(r"[^\w.-]+", "-", f"{kind}-{model}" if model else kind).strip("-")
        number = sum(one == plain or one.rpartition("-")[0] == plain for one in names)
        names.append(f"{plain}-{number + 1}" if number else plain)
    return names


def _member(reference: str, collection: Collection, candidates: Run, wanted: Wanted, advance: Advance) -> Run:
    from cedistill.teachers.members import member_run

    chosen = candidates if wanted.depth is None else top(candidates, wanted.depth)
    return member_run(
        reference,
        collection,
        chosen,
        precision=wanted.precision,
        progress=lambda done, total: advance(done, total, ""),
    )


def _check_run(taught: Taught, reference: str) -> None:
    if not any(taught.run.values()):
        raise RuntimeError(
            f"{reference}: expected an answer that can be read, found none; look into the journal, try another "
            "--prompt or --method"
        )


def _write_confidence(run: Path, agreement: Mapping[str, float | None]) -> Path:
    """Write Kendall's tau per query and a weight, (1 + tau) / 2: 1 for one opinion, 0.5 for chance."""
    path = _beside(run, ".confidence.tsv")
    with writing(path) as stream:
        stream.write("query-id\tkendall-tau\tweight\n")
        for query_id, tau in agreement.items():
            if tau is not None:
                stream.write(f"{query_id}\t{tau:.6f}\t{(1 + tau) / 2:.6f}\n")
    return path


def _member_path(output: Path, name: str) -> Path:
    return _beside(output, ".members") / f"{name}.trec{'.gz' if output.suffix == '.gz' else ''}"


def _journal_path(wanted: Wanted, output: Path) -> Path:
    return wanted.journal or _beside(output, ".journal.jsonl")


@contextmanager
def _journal(wanted: Wanted, output: Path) -> Iterator[Journal]:
    if wanted.llm.offline:
        yield read_journal(_journal_path(wanted, output))
        return
    with open_journal(_journal_path(wanted, output)) as journal:
        yield journal


@contextmanager
def _no_journal() -> Iterator[Journal]:
    yield Journal({})


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)
