"""What there is: the rows of ``cedistill ls``."""

from __future__ import annotations

from pathlib import Path

from cedistill.config.shipped import shipped_folder, shipped_names

KINDS = ("losses", "objectives", "backbones", "benchmarks", "sources", "studies")


def listing(kind: str) -> list[dict[str, str]]:
    """Return a row with ``name`` and ``about`` (and more where there is more) for each thing of ``kind``."""
    return {
        "losses": _losses,
        "objectives": _objectives,
        "backbones": _backbones,
        "benchmarks": _benchmarks,
        "sources": _sources,
        "studies": _studies,
    }[kind]()


def _losses() -> list[dict[str, str]]:
    from cedistill.losses import loss_function, loss_names

    return [{"name": name, "about": _first_line(loss_function(name).__doc__)} for name in loss_names()]


def _objectives() -> list[dict[str, str]]:
    from cedistill.config.objective import read_objective

    rows = []
    for name in shipped_names("objectives"):
        one = read_objective(name)
        about = f"{one.title}: {one.lists.kind} of {one.lists.size}, needs {' and '.join(one.lists.needs)}"
        rows.append({"name": name, "about": about, "loss": one.loss, "paper": one.paper})
    return rows


def _backbones() -> list[dict[str, str]]:
    from cedistill.model.backbones import BACKBONES

    return [
        {
            "name": one.name,
            "about": f"{one.label} ({one.group}), {one.hub_id or 'made from a seed'}",
            "group": one.group,
        }
        for one in BACKBONES.values()
    ]


def _benchmarks() -> list[dict[str, str]]:
    from cedistill.config.benchmark import load_benchmark

    return [{"name": name, "about": load_benchmark(name).title} for name in shipped_names("benchmarks")]


def _sources() -> list[dict[str, str]]:
    from cedistill.config.sources import SOURCES

    return [{"name": one.name, "about": one.about, "kind": one.kind, "record": one.record} for one in SOURCES.values()]


def _studies() -> list[dict[str, str]]:
    from cedistill.config.toml import read_toml

    folders = {shipped_folder("results"), Path("results").resolve()}
    files = sorted(path for folder in folders for path in folder.glob("*/study.toml"))
    return [{"name": path.parent.name, "about": str(read_toml(path).get("title", ""))} for path in files]


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]
