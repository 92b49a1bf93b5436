"""The metrics of runs: means, per-query values, what was missing, and paired tests against the first run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cedistill.data.runs import Run, read_run
from cedistill.errors import InputError, bad_line, shown
from cedistill.evaluation.compare import compare
from cedistill.evaluation.measures import DEFAULT_MEASURES, mean, parse_measure, per_query

logger = logging.getLogger(__name__)

SIGNIFICANT = 0.05


def metrics(
    run_paths: Sequence[str | Path],
    qrels: Mapping[str, Mapping[str, int]],
    measures: Sequence[str] = DEFAULT_MEASURES,
) -> dict[str, Any]:
    """Measure runs, and test each further one against the first.

    Args:
        run_paths: run files. A run's name is its file's without ``.trec`` and ``.gz``; where that is not unique,
            folders stand before it.
        qrels: query id → document id → grade.
        measures: names of measures.

    Returns:
        ``{"runs": {NAME: {"measures": {MEASURE: mean over all judged queries}, "per_query": {QUERY: {MEASURE: value}},
        "queries": {"judged": n, "missing": m, "unjudged": u}}}, "comparisons": [...]}``: of the judged queries the run
        lacks ``missing`` (they count 0), and ``unjudged`` queries of the run are left out. Comparisons are those of
        :func:`cedistill.evaluation.compare.compare`.

    Raises:
        InputError: no run, a malformed one, one without any judged query, a bad measure, the same file twice.
    """
    if not run_paths:
        raise InputError("expected at least one run, found none; name run files")
    if not qrels:
        raise InputError("expected judged queries, found none; give qrels")
    names = list(dict.fromkeys(str(parse_measure(measure)) for measure in measures))
    runs: dict[str, dict[str, Any]] = {}
    values: dict[str, dict[str, dict[str, float]]] = {}
    read = {name: read_run(path) for name, path in zip(run_names(run_paths), run_paths, strict=True)}
    for (name, run), path in zip(read.items(), run_paths, strict=True):
        values[name], runs[name] = measure_run(run, qrels, names, path)
    return {"runs": runs, "comparisons": compare(next(iter(runs)), values, names)}


def measure_run(
    run: Run, qrels: Mapping[str, Mapping[str, int]], measures: Sequence[str], path: str | Path
) -> tuple[dict[str, dict[str, float]], dict[str, Any]]:
    """Measure one run.

    Args:
        run: query id → document id → score.
        qrels: query id → document id → grade.
        measures: names of measures.
        path: where the run is from, for errors and warnings.

    Returns:
        Measure → query id → value, and the run's record as in :func:`metrics`.

    Raises:
        InputError: no query of the run is judged.
    """
    unjudged, missing = [one for one in run if one not in qrels], [one for one in qrels if one not in run]
    if len(missing) == len(qrels):
        found = f"query {shown(next(iter(run), ''))} and no judged one"
        raise bad_line(
            path, 1, f"queries of the qrels such as {shown(next(iter(qrels)))}", found, "give matching qrels"
        )
    if missing:
        logger.warning("%s: %d of %d judged queries have no candidates and count 0", path, len(missing), len(qrels))
    if unjudged:
        logger.warning("%s: %d queries are not judged and are left out", path, len(unjudged))
    values = per_query(run, qrels, measures)
    record = {
        "measures": {measure: mean(row) for measure, row in values.items()},
        "per_query": {query_id: {measure: row[query_id] for measure, row in values.items()} for query_id in qrels},
        "queries": {"judged": len(qrels), "missing": len(missing), "unjudged": len(unjudged)},
    }
    return values, record


def run_names(paths: Sequence[str | Path]) -> list[str]:
    """Return a name for each run file: its own without ``.trec`` and ``.gz``, after as many folders as it needs.

    Raises:
        InputError: the same file is given twice.
    """
    full = [Path(path).resolve().parts for path in paths]
    for place, parts in enumerate(full):
        if parts in full[:place]:
            raise InputError(f"expected each run once, found {paths[place]} twice; drop one")
    stems = [(*parts[:-1], _stem(parts[-1])) for parts in full]
    names = []
    for stem, parts in zip(stems, full, strict=True):
        longest = len(stem)
        others = [other for other, its in zip(stems, full, strict=True) if its != parts]
        depth = next((n for n in range(1, longest) if all(stem[-n:] != other[-n:] for other in others)), None)
        # a.trec and a.trec.gz in one folder differ only in what a name leaves out.
        names.append("/".join(stem[-depth:]) if depth else parts[-1])
    return names


def metrics_table(result: Mapping[str, Any]) -> str:
    """Return the figures of :func:`metrics` as Markdown: means by run, then the comparisons if there are any.

    A comparison is marked ``*`` if its Holm-corrected p of Student's t is below .05.
    """
    runs = result["runs"]
    names = list(next(iter(runs.values()))["measures"])
    rows = [
        [run, *(f"{record['measures'][name]:.4f}" for name in names), *map(str, record["queries"].values())]
        for run, record in runs.items()
    ]
    tables = [markdown_table(["run", *names, "judged", "missing", "unjudged"], rows)]
    if result["comparisons"]:
        header = ["run", "against", "measure", "difference", "95 % interval"]
        header += ["p (t)", "p (t, Holm)", "p (randomisation, Holm)", f"p < {SIGNIFICANT}"]
        tables.append(markdown_table(header, [_comparison_row(one) for one in result["comparisons"]]))
    return "\n\n".join(tables)


def per_query_table(result: Mapping[str, Any]) -> str:
    """Return the per-query values of :func:`metrics` as a Markdown table, one row per run and query."""
    names = list(next(iter(result["runs"].values()))["measures"])
    rows = [
        [run, query_id, *(f"{values[name]:.4f}" for name in names)]
        for run, record in result["runs"].items()
        for query_id, values in record["per_query"].items()
    ]
    return markdown_table(["run", "query", *names], rows)


def _stem(name: str) -> str:
    return name.removesuffix(".gz").removesuffix(".trec") or name


def _comparison_row(one: Mapping[str, Any]) -> list[str]:
    low, high = one["interval"]
    row = [one["run"], one["baseline"], one["measure"], f"{one['difference']:+.4f}", f"[{low:+.4f}, {high:+.4f}]"]
    row += [_p(one[key]) for key in ("p", "p_holm", "p_randomisation_holm")]
    return [*row, "*" if one["p_holm"] < SIGNIFICANT else ""]


def _p(value: float) -> str:
    return "< .0001" if value < 0.0001 else f"{value:.4f}"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as Markdown, its columns padded to equal width."""
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(len(row[place]) for row in [header, *escaped]) for place in range(len(header))]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in [header, *escaped]]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
