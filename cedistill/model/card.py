"""The model card: what a model is, what its figures are, what it was made of, and under which terms."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cedistill.model.backbones import BACKBONES

CARD = "README.md"
_OWN_EVALUATIONS = ("../metrics.json", "evaluation/metrics.json")

_TERMS = {
    "bert-base": "apache-2.0",
    "electra-base": "apache-2.0",
    "roberta-base": "mit",
    "deberta-v3-base": "mit",
    "minilm-l12": "mit",
    "minilm-l6": "apache-2.0",
    "modernbert-base": "apache-2.0",
    "modernbert-large": "apache-2.0",
    **dict.fromkeys(("ettin-17m", "ettin-32m", "ettin-68m", "ettin-150m"), "mit"),
}
"""The licences of the backbones' weights, as their own cards name them."""


def card(content: Mapping[str, Any], results: Mapping[str, Any] | None = None, licence: str | None = None) -> str:
    """Return the card of a trained model.

    Args:
        content: of its ``cedistill.json``.
        results: of the ``metrics.json`` of an evaluation; its figures stand in the text and in the card's fields.
        licence: of the model, as the Hub names it (``apache-2.0``); None leaves the field out.
    """
    objective, plan, figures = content["objective"], content["schedule"], content["figures"]
    title = f"{content['backbone']} trained with {objective['title']}"
    sections = [
        _fields(title, content, results, licence),
        f"# {title}",
        "A cross-encoder: it reads a query and a document together and gives one raw logit, higher for more relevant.",
        '```python\nfrom sentence_transformers import CrossEncoder\n\nscores = CrossEncoder("PATH").predict([("query", '
        '"document")])\n```',
        *_evaluation(results),
        "## Training",
        f"{objective['title']} ({objective['paper'] or 'own objective'}), {figures['steps']} steps of "
        f"{plan['lists_per_step']} lists, learning rate {plan['learning_rate']:g}, seed {content['seed']}, "
        f"{figures['precision']}; at most {content['query_tokens']} tokens of a query, "
        f"{content['query_tokens'] + content['document_tokens']} of a pair.",
        *_validation(figures.get("validation")),
        f"```\n{content['command']}\n```" if content.get("command") else "",
        "| input | file | sha256 |\n|---|---|---|\n"
        + "\n".join(f"| {one['role']} | {one['file']} | `{one['sha256'][:16]}…` |" for one in content["inputs"]),
        "## Licence",
        _terms(content, licence),
        "Everything that determines the run is in `cedistill.json`.",
    ]
    return "\n\n".join(one for one in sections if one) + "\n"


def find_results(folder: Path) -> Path | None:
    """Return the ``metrics.json`` of a model's evaluation: a study's beside it, or its own ``evaluation/``."""
    return next((folder / one for one in _OWN_EVALUATIONS if (folder / one).is_file()), None)


def _fields(title: str, content: Mapping[str, Any], results: Mapping[str, Any] | None, licence: str | None) -> str:
    """Return the fields that the Hub reads, as YAML; values are JSON, which is YAML too."""
    backbone = BACKBONES.get(content["backbone"])
    base = backbone.hub_id if backbone else content["backbone"] if content["backbone"].count("/") == 1 else None
    fields: dict[str, Any] = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "text-ranking",
        "tags": ["cross-encoder", "reranker", "cedistill"],
        **({"license": licence} if licence else {}),
        **({"base_model": base} if base and not Path(content["backbone"]).is_dir() else {}),
    }
    found = [
        {
            "task": {"type": "text-ranking", "name": "re-ranking"},
            "dataset": {"name": f"{label}, {stage}'s top {depth or 'candidates'}", "type": label},
            "metrics": [{"type": name, "name": name, "value": round(value, 4)} for name, value in values.items()],
        }
        for label, stage, depth, _, values in _figures(results)
    ]
    if found:
        fields["model-index"] = [{"name": title, "results": found}]
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()]
    return "\n".join(["---", *lines, "---"])


def _evaluation(results: Mapping[str, Any] | None) -> list[str]:
    rows = [
        f"| {label} | {name} | {first[name]:.4f} | {value:.4f} | {stage}{f', top {depth}' if depth else ''} |"
        for label, stage, depth, first, values in _figures(results)
        for name, value in values.items()
    ]
    if not rows:
        return []
    head = "| data set | measure | first stage | re-ranked | candidates |\n|---|---|---:|---:|---|\n"
    return ["## Evaluation", head + "\n".join(rows)]


def _figures(
    results: Mapping[str, Any] | None,
) -> Iterator[tuple[str, str, int | None, Mapping[str, float], Mapping[str, float]]]:
    for label, one in ((results or {}).get("datasets") or {}).items():
        runs, stage = one["runs"], one["first_stage"]
        yield label, stage, one["depth"], runs[stage]["measures"], runs["reranked"]["measures"]


def _validation(found: Mapping[str, Any] | None) -> list[str]:
    return [f"Best validation nDCG@10 {found['ndcg@10']:.4f} at step {found['step']}."] if found else []


def _terms(content: Mapping[str, Any], licence: str | None) -> str:
    own = f"This model: {licence}." if licence else "This model: its author names no licence."
    terms = _TERMS.get(content["backbone"])
    base = f" The backbone's weights: {terms}." if terms else ""
    data = content.get("data") or {}
    named = str(data.get("source") or "") + str(data.get("dataset") or "")
    marco = not data.get("dataset") or "msmarco" in named.lower()
    texts = " MS MARCO's texts, which it learned from, are for non-commercial research." if marco and named else ""
    return f"{own}{base}{texts}"
