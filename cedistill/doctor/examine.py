"""The whole examination, and its text."""

from __future__ import annotations

from collections.abc import Sequence

from cedistill.doctor.devices import accelerators, kernels, processors
from cedistill.doctor.finding import LACKS, OK, Check, Finding, guarded
from cedistill.doctor.network import hub
from cedistill.doctor.packages import optional, required
from cedistill.doctor.places import caches, data

CHECKS: tuple[tuple[str, str, Check], ...] = (
    ("packages", "required", lambda: [*required()]),
    ("packages", "optional", lambda: [*optional()]),
    ("devices", "processor", lambda: [*processors()]),
    ("devices", "GPU", lambda: [*accelerators()]),
    ("kernels", "kernels", lambda: [*kernels()]),
    ("caches", "caches", lambda: [*caches()]),
    ("data", "data", lambda: [*data()]),
    ("hub", "Hub", lambda: [*hub()]),
)
_MARKS = {OK: "ok", LACKS: "--"}


def examine() -> list[Finding]:
    """Return what this machine has and lacks; takes a few seconds and never raises."""
    found = [one for group, name, check in CHECKS for one in guarded(group, name, check)]
    groups = list(dict.fromkeys(one.group for one in found))
    return sorted(found, key=lambda one: groups.index(one.group))


def examination_text(findings: Sequence[Finding]) -> str:
    """Return findings as lines under their groups, each cure below what it cures."""
    width = max(len(one.name) for one in findings)
    lines: list[str] = []
    for number, one in enumerate(findings):
        if not number or findings[number - 1].group != one.group:
            lines += ["", one.group] if lines else [one.group]
        lines.append(f"  {_MARKS.get(one.state, '!!')}  {one.name:{width}}  {one.found}")
        if one.cure:
            lines.append(f"      {'':{width}}  -> {one.cure}")
    broken = sum(one.state not in _MARKS for one in findings)
    return "\n".join([*lines, "", f"{broken} broken (!!)" if broken else "nothing is broken (-- works without)"])
