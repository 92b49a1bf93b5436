"""How good the labels are that each routing makes of the demo's teachers, before any student learns from them.

Each way ranks a query's candidates by Σ_k w_k softmax(z_k), what a student's distribution is pulled towards. Gates
learn on every other query of demo:train, with five seeds; all are measured on the other queries. Run from the root of
the repository: python results/demo-teachers/labels.py
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cedistill.config.train_data import TrainData
from cedistill.data.collections import open_collection
from cedistill.data.files import writing
from cedistill.data.pools import load_pools
from cedistill.evaluation.compare import compare
from cedistill.evaluation.measures import per_query
from cedistill.mixture.gate import Gate, query_features
from cedistill.mixture.routing import fused, gated, load_balance, oracle, supervised_target
from cedistill.mixture.weights import agreement, heard_scores, uniform

SPECIALISTS = ("specialist-1", "specialist-2", "specialist-3", "specialist-4")
MEMBERS = ("ensemble-1", "ensemble-2", "ensemble-3")
SETS = {
    "The four specialists": SPECIALISTS,
    "The three members of an ensemble and word overlap": (*MEMBERS, "candidates"),
    "The three members alone": MEMBERS,
}
SEEDS = (1, 2, 3, 4, 5)
STEPS, LISTS, TAU, BALANCE = 400, 32, 0.3, 0.1
MEASURE = "ndcg@10"


def gate_weights(seed: int, features: Tensor, heard: Tensor, target: Tensor, learn: Tensor) -> Tensor:
    """Return c [B, K] of a supervised gate that learnt from the lists ``learn``."""
    torch.manual_seed(seed)
    gate, signal = Gate(heard.shape[1]), heard.any(-1)
    optimizer = torch.optim.Adam(gate.parameters(), 1e-2)
    for _ in range(STEPS):
        batch = learn[torch.randint(len(learn), (LISTS,))]
        c = gate(features[batch], signal[batch])
        optimizer.zero_grad()
        (gated("supervised", c, target[batch], None).gate_loss + BALANCE * load_balance(c)).backward()
        optimizer.step()
    return gate(features, signal).detach()


def quality(teachers: tuple[str, ...]) -> dict[str, Any]:
    """Return the quality of the labels of each teacher and each routing, with tests against the best and uniform."""
    runs = tuple(f"demo:train.{one}" for one in teachers)
    data = TrainData(dataset="demo:train", candidates="demo:train.candidates", teachers=runs)
    pools = load_pools(data, labels=True, positives="retrieved")
    rows = [pools.table[number] for number in range(pools.table.num_rows)]
    rows = [row for row in rows if len(row["document_ids"]) == 50]
    scores = torch.tensor([row["scores"] for row in rows])
    labels = torch.tensor([row["labels"] for row in rows]) - 1  # grades 2 and 3 are relevant, as in the study
    z, heard = heard_scores(scores, torch.ones_like(scores, dtype=torch.bool))
    features = query_features(torch.zeros(len(rows), 50), z, heard, heard[:, 0], 1.0)
    target = supervised_target(z, z, labels, heard, TAU)
    learn, test = torch.arange(0, len(rows), 2), range(1, len(rows), 2)
    qrels = open_collection("demo:train").qrels or {}
    judged = {rows[place]["query_id"]: qrels[rows[place]["query_id"]] for place in test}

    def measured(ranking: Tensor) -> dict[str, float]:
        run = {
            rows[place]["query_id"]: dict(zip(rows[place]["document_ids"], ranking[place].tolist(), strict=True))
            for place in test
        }
        return per_query(run, judged, [MEASURE])[MEASURE]

    def routed(weights: Tensor) -> dict[str, float]:
        return measured((weights.unsqueeze(-1) * z.softmax(-1)).sum(1))

    gates = [routed(gate_weights(seed, features, heard, target, learn)) for seed in SEEDS]
    found = {name: measured(z[:, place]) for place, name in enumerate(teachers)}
    found |= {"uniform": routed(uniform(scores, heard)), "agreement": routed(agreement(scores, heard))}
    found["supervised"] = {one: statistics.fmean(gate[one] for gate in gates) for one in gates[0]}
    found |= {how: measured(fused(how, z, heard)) for how in ("zscore", "rrf")}
    found["oracle"] = routed(oracle(z, labels, heard))
    best = max(teachers, key=lambda one: statistics.fmean(found[one].values()))
    values = {name: {MEASURE: one} for name, one in found.items()}
    tests = {base: {one["run"]: one for one in compare(base, values, [MEASURE])} for base in (best, "uniform")}
    figures = {
        name: {MEASURE: statistics.fmean(one.values())}
        | {f"over {base}": {key: made[name][key] for key in ("difference", "p_holm")}
           for base, made in tests.items() if name in made}
        for name, one in found.items()
    }  # fmt: skip
    figures["supervised"]["seeds"] = [statistics.fmean(one.values()) for one in gates]
    return {"queries": len(judged), "best": best, "labels": figures}


def table(found: dict[str, Any]) -> str:
    """Return one set's quality as Markdown."""
    best = found["best"]
    lines = [
        f"| labels of | nDCG@10 | over {best} | p | over uniform | p |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, one in found["labels"].items():
        cells = [f"{one[MEASURE]:.4f}"]
        for base in (best, "uniform"):
            test = one.get(f"over {base}")
            cells += [f"{test['difference']:+.4f}", _p(test["p_holm"])] if test else ["", ""]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _p(value: float) -> str:
    return f"{value:.1g}" if value >= 1e-300 else "< 1e-300"


def main() -> None:
    """Write labels.json and labels.md beside this file."""
    here = Path(__file__).parent
    found = {title: quality(teachers) for title, teachers in SETS.items()}
    with writing(here / "labels.json") as file:
        json.dump(found, file, indent=1)
    write_tables(found, here)


def write_tables(found: dict[str, Any], here: Path) -> None:
    """Write the quality of all sets as Markdown."""
    with writing(here / "labels.md") as file:
        for title, one in found.items():
            file.write(f"## {title}\n\n{table(one)}\n\n")
        file.write(
            "1500 held-out queries; paired t-tests, Holm-corrected; a gate's figure is the mean of five seeds.\n"
        )


if __name__ == "__main__":
    main()
