"""How figures look, and how they are saved and put into a page."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

INK, MUTED, LINE, PAPER = "#1b2127", "#5c6670", "#d5dae0", "#fefffe"
SERIES = ("#0b6e99", "#c2410c", "#2f7d32", "#8b3fa8", "#a16207", "#be185d", "#475569", "#0f766e", "#6d4c2f", "#3f51b5")
VARIABLES = {INK: "--ink", MUTED: "--muted", LINE: "--line", PAPER: "--paper"}
VARIABLES |= {colour: f"--s{place}" for place, colour in enumerate(SERIES)}
"""The colours of figures, each with the variable of the page's style that stands in its place there."""

MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*", "<", ">")


def series(place: int) -> dict[str, Any]:
    """Return colour and marker of the n-th series: told apart without colour, too."""
    return {"color": SERIES[place % len(SERIES)], "marker": MARKERS[(place + place // len(SERIES)) % len(MARKERS)]}


@contextmanager
def canvas(width: float, height: float, name: str, **layout: Any) -> Iterator[tuple[Any, Any]]:
    """Yield a figure of so many inches and its axes; ``layout`` goes to matplotlib's ``subplots``."""
    import matplotlib

    matplotlib.use("Agg", force=False)
    from matplotlib import pyplot

    settings: dict[Any, Any] = {
        "font.size": 10,
        "font.family": "sans-serif",
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": MUTED,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "axes.facecolor": "none",
        "figure.facecolor": "none",
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "grid.color": LINE,
        "axes.grid": True,
        "axes.axisbelow": True,
        "legend.frameon": False,
        "svg.fonttype": "none",
        "svg.hashsalt": name,
    }
    with matplotlib.rc_context(settings):
        figure, axes = pyplot.subplots(figsize=(width, height), layout="constrained", **layout)
        try:
            yield figure, axes
        finally:
            pyplot.close(figure)


def save(figure: Any, folder: Path, name: str) -> str:
    """Write ``NAME.svg`` and ``NAME.png`` into a folder; return the SVG for a page, its colours as variables."""
    folder.mkdir(parents=True, exist_ok=True)
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    svg = stream.getvalue()
    (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    figure.savefig(folder / f"{name}.png", dpi=150, facecolor="white", metadata={"Software": None})
    return for_page(svg)


def for_page(svg: str) -> str:
    """Return an SVG file as an element of a page: no prologue, no fixed size, colours and font of the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    head, rest = svg.split(">", 1)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    width = float(head.split('viewBox="')[1].split()[2])  # in points
    for colour, variable in VARIABLES.items():
        rest = rest.replace(colour, f"var({variable})")
    rest = re.sub(r"font: ([^;\"']*?)'[^;\"]*?(?=[;\"])", r"font: \1sans-serif", rest)
    return f'{head} style="max-width: {width * 1.6:.0f}px" aria-hidden="true" focusable="false">{rest}'
