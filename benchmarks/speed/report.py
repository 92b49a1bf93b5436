"""The figures as Markdown."""

from __future__ import annotations

from typing import Any


def markdown(content: dict[str, Any]) -> str:
    """Return the tables of what was measured, with machine, versions and command."""
    here = content["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in here["versions"].items())
    place = here["gpu"] or f"{here['processor']}, {here['threads']} of {here['cores']} cores as threads"
    lines = [
        f"# Speed on {place}",
        "",
        f"Instructions: {', '.join(here['instructions']) or 'none of note'}; {here['memory_gb']} GB; "
        f"Python {here['python']}; {versions}.",
        "Contenders ran in turns; pairs/s are medians of the turns; the share is that of the fastest matrix products",
        "measured before and after, in the same precision; operations on padding do not count, nor do those of an",
        "encoder's last layer on tokens that nothing reads.",
        "",
    ]
    for part, title in (("training", "Training MiniLM-L6"), ("scoring", "Scoring with MiniLM-L6")):
        lines += [f"# {title}", "", _how(content[part]), ""] if part in content else []
        for setting, found in content.get(part, {}).items():
            if isinstance(found, dict):
                lines += _contenders(setting, found)
    if "encoders" in content:
        title = "# Encoders of the study, random weights of the true shapes"
        lines += [title, "", _how(content["encoders"]), "", *_encoders(content["encoders"])]
    if "commands" in content:
        lines += ["# Whole commands", "", _how(content["commands"]), "", *_commands(content["commands"])]
    return "\n".join(lines).rstrip() + "\n"


def _how(part: dict[str, Any]) -> str:
    clocks = {"wall": "wall clock", "processor": "seconds of the process on processors (the machine had other work)"}
    return (
        f"`{part['command']}`, {part['measured']}; {clocks[part['clock']]}; load average {part['load']} at the start."
    )


def _contenders(title: str, found: dict[str, Any]) -> list[str]:
    rows = found["contenders"]
    theirs = {name: row["pairs_per_second"] for name, row in rows.items() if not name.startswith("cedistill")}
    lines = [f"## {title}", "", f"{found['tokens_per_pair']:.0f} tokens a pair on average.", ""]
    lines += [
        "| | pairs/s | slowest | fastest | share of matrix rate | to theirs, equal precision | to their default |"
    ]
    lines += ["|---|---:|---:|---:|---:|---:|---:|"]
    for name, row in rows.items():
        own, precision = row["pairs_per_second"], name.split()[1].strip(",")
        equal = max(speed for other, speed in theirs.items() if other.split()[1].strip(",") == precision)
        default = theirs.get("sentence-transformers float32")
        to_default = f"{own / default:.2f}" if default else ""
        ratios = f"{own / equal:.2f} | {to_default}" if name.startswith("cedistill") else " | "
        lines.append(
            f"| {name} | {own:.1f} | {row['slowest']:.1f} | {row['fastest']:.1f} "
            f"| {100 * row['share_of_matrix_rate']:.0f} % | {ratios} |"
        )
    return [*lines, ""]


def _encoders(found: dict[str, Any]) -> list[str]:
    rate = found["matrix_flops_per_second"]
    lines = [f"Matrix products: {rate['float32'] / 1e9:.0f} GFLOP/s float32, {rate['bf16'] / 1e9:.0f} bf16.", ""]
    lines += ["| backbone | precision | pairs/s at 95 tokens | at 288 | share | documents a step: steps/s (share) |"]
    lines += ["|---|---|---:|---:|---:|---|"]
    for name, row in found["backbones"].items():
        peak = rate[row["precision"]]
        short, long = row["scoring"]
        steps = _steps(row["training"], peak)
        if row["compiled"]:
            steps += f"; compiled {_steps(row['compiled'], peak)}"
        lines.append(
            f"| {name} | {row['precision']} | {short['pairs_per_second']:.1f} | {long['pairs_per_second']:.1f} "
            f"| {100 * short['flops_per_second'] / peak:.0f} % | {steps} |"
        )
    lines += ["", "Hours of one run of the study's length: " + _hours(found["backbones"]) + ".", ""]
    for name, row in found["backbones"].items():
        spent = ", ".join(f"{one['operation']} {100 * one['share']:.0f} %" for one in row["profile"][:8])
        lines += [f"A step of {name} is spent on: {spent}."]
    return [*lines, ""]


def _steps(rows: list[dict[str, Any]], peak: float) -> str:
    return "; ".join(
        f"{one['documents_per_step']}: {one['steps_per_second']:.2f} ({100 * one['flops_per_second'] / peak:.0f} %)"
        for one in rows
    )


def _hours(backbones: dict[str, Any]) -> str:
    return "; ".join(
        f"{name} " + ", ".join(f"{objective} {one['hours']:.1f}" for objective, one in row["study"].items())
        for name, row in backbones.items()
    )


def _commands(found: dict[str, Any]) -> list[str]:
    lines = [
        "| command | start | seconds | of processors | peak memory |",
        "|---|---|---:|---:|---:|",
    ]
    for name, runs in found.items():
        if isinstance(runs, dict):
            for start, one in runs.items():
                figures = f"{one['seconds']:.2f} | {one['cpu_seconds']:.2f} | {one['peak_mb']:.0f} MB"
                lines.append(f"| `{name}` | {start} | {figures} |")
    return [*lines, ""]
