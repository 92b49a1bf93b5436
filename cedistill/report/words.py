"""What a study's table says, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cedistill.report.cost import shown_cost
from cedistill.report.layout import published_cells
from cedistill.report.letters import FIRST_STAGE, row_name
from cedistill.report.names import shown_backbone, shown_measure, shown_objective


def summary(table: Mapping[str, Any]) -> list[str]:
    """Return a few sentences: what was compared, what is best and by how much, and what cannot be told."""
    models = table["rows"][1:]
    sentences = [_extent(table, models)]
    for place in table["leading"][:6]:
        sentences.append(_best(table, models, place))
    sentences += _ranks(table["rankings"])
    published = list(published_cells(table))
    if published:
        differences = [value["to_published"] for _, _, value in published]
        mean = sum(map(abs, differences)) / len(differences)
        inside = f"{signed(min(differences))} to {signed(max(differences))}"
        counted = _count(len(published), "published figure")
        sentences.append(f"Beside {counted}: mean absolute difference {mean:.3f}, ours minus theirs {inside}.")
    sentences += _fastest(models)
    if all(len(row["seeds"]) == 1 for row in models):
        sentences.append("With one seed each, a difference between models may be one between seeds.")
    if table["missing"]:
        verb = "has" if len(table["missing"]) == 1 else "have"
        sentences.append(f"{_count(len(table['missing']), 'cell')} of the study {verb} no figures yet.")
    return sentences


def signed(value: float, digits: int = 3) -> str:
    """Return a number with its sign, ``+0.012`` or ``−0.012``."""
    return f"{value:+.{digits}f}".replace("-", "−")


def model_name(row: Mapping[str, Any]) -> str:
    """Return a row's name for reading: ``ELECTRA, MarginMSE``."""
    if not row["backbone"]:
        return FIRST_STAGE
    return f"{shown_backbone(row['backbone'])}, {shown_objective(row['objective'])}"


def _extent(table: Mapping[str, Any], models: Sequence[Mapping[str, Any]]) -> str:
    backbones, objectives = ({row[name] for row in models} for name in ("backbone", "objective"))
    seeds = max(len(row["seeds"]) for row in models)
    sets = dict.fromkeys(name for column in table["columns"] for name in column["datasets"])
    parts = [_count(len(backbones), "backbone"), _count(len(objectives), "objective"), _count(seeds, "seed")]
    return f"{_count(len(models), 'model')} ({', '.join(parts)}) on {_count(len(sets), 'data set')}."


def _best(table: Mapping[str, Any], models: Sequence[Mapping[str, Any]], place: int) -> str:
    column = table["columns"][place]
    top = max(models, key=lambda row: row["values"][place]["mean"])
    value, first = top["values"][place], table["rows"][0]["values"][place]["mean"]
    name = f"{column['dataset']} ({shown_measure(column['measure'])})"
    spread = f" ± {value['deviation']:.3f} over seeds" if value.get("deviation") is not None else ""
    record = next(
        (
            one
            for one in table["comparisons"]
            if one["column"] == place and one["family"] == FIRST_STAGE and one["run"] == row_name(top)
        ),
        None,
    )
    against = ""
    if record:
        low, high = record["interval"]
        sure = "significantly" if value["p"] < table["alpha"] else "not significantly"
        way = "above" if value["difference"] > 0 else "below"
        against = (
            f", {sure} {way} the first stage's {first:.3f} "
            f"(difference {signed(value['difference'])}, 95 % interval {signed(low)} to {signed(high)})"
        )
    counted = ""
    if len(models) > 1:
        above = sum(
            row["values"][place]["p"] < table["alpha"] and row["values"][place]["difference"] > 0 for row in models
        )
        counted = f" {above} of {len(models)} models are significantly above the first stage."
    verb = "is best with" if len(models) > 1 else "has"
    return f"On {name}, {model_name(top)} {verb} {value['mean']:.3f}{spread}{against}.{counted}"


def _ranks(found: Mapping[str, Any]) -> list[str]:
    sentences = []
    for kind, shown in (("objectives", shown_objective), ("backbones", shown_backbone)):
        one = found[kind]
        if "none" in one:
            continue
        order = ", ".join(
            f"{shown(name)} {rank:.2f}" for name, rank in zip(one["names"], one["average_ranks"], strict=True)
        )
        told = (
            f"ranks further apart than {one['critical_difference']:.2f} differ (Nemenyi, α = {one['alpha']:g})"
            if one["p"] < one["alpha"]
            else "no difference can be told"
        )
        sentences.append(
            f"Average ranks of {kind} over {one['blocks']} blocks: {order}; Friedman's p {_p(one['p'])}, {told}."
        )
    return sentences


def _fastest(models: Sequence[Mapping[str, Any]]) -> list[str]:
    known = [row for row in models if "ms_per_100_documents" in row["cost"]]
    if len(known) < 2:
        return []
    fastest = min(known, key=lambda row: row["cost"]["ms_per_100_documents"])
    shown = shown_cost("ms_per_100_documents", fastest["cost"]["ms_per_100_documents"])
    return [f"Fastest: {model_name(fastest)}, {shown} ms per 100 documents."]


def _p(p: float) -> str:
    return "< .001" if p < 0.001 else f"= {p:.3f}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
