"""Studies whose figures are drawn, not trained: any shape in milliseconds."""

import gzip
import json

import numpy as np
import pytest

from cedistill.study.plan import cells
from cedistill.study.reading import load_study

BENCHMARK = """
title = "Two sets"
candidates = "candidates.trec"
depth = 5
measures = ["ndcg@10", "rr@10"]
[published]
"Someone 2025, BERT-Base, MarginMSE" = {{ "ndcg@10" = 0.5 }}
[[datasets]]
name = "one"
dataset = "{tiny}"
candidates = "{tiny}/candidates.trec"
[[datasets]]
name = "two"
dataset = "{tiny}:train"
candidates = "{tiny}/candidates.trec"
"""


@pytest.fixture
def make_study(tiny, tmp_path):
    """Return a function that writes a study of a shape with drawn figures: better objectives come later."""

    def make(backbones, objectives, seeds, benchmark=True, queries=40, log=True, runs=True):
        folder = tmp_path / "study"
        folder.mkdir()
        (folder / "pair.toml").write_text(BENCHMARK.format(tiny=tiny))
        second = 'benchmark = "./pair.toml"\nname = "pair"' if benchmark else f'dataset = "{tiny}:train"'
        first = f'[[evaluate]]\ndataset = "{tiny}"\nname = "tiny"\nmeasures = ["ndcg@10"]\n'
        text = f'title = "Drawn <figures> & co"\nbackbones = {backbones}\nobjectives = {objectives}\nseeds = {seeds}\n'
        text += f'[train]\ndataset = "{tiny}"\nteachers = ["{tiny}/teacher.trec", "{tiny}/candidates.trec"]\n{first}'
        (folder / "study.toml").write_text(text + (f"[[evaluate]]\n{second}\n" if benchmark is not None else ""))
        study, _ = load_study(folder)
        source = np.random.default_rng(1)
        hard = source.normal(0, 0.15, queries)
        for cell in cells(study):
            place = folder / cell.name
            (place / "runs").mkdir(parents=True)
            level = 0.4 + 0.08 * objectives.index(cell.objective) + 0.01 * backbones.index(cell.backbone)
            datasets = {one.label: _dataset(one, level, hard, source) for one in study.evaluate}
            figures = {
                "identity": "0" * 64,
                "precision": "float32",
                "training": {"seconds": 60.0},
                "datasets": datasets,
            }
            (place / "metrics.json").write_text(json.dumps({**cell._asdict(), **figures}))
            if log:
                lines = [{"step": n, "loss": 1 / n, "pairs_per_second": 100 + n} for n in range(1, 40)]
                lines.append({"step": 39, "validation": {"ndcg@10": level}})
                (place / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
            for one in study.evaluate if runs else ():
                rows = [f"q{i} Q0 d{i + k} {k + 1} {9 - k} x\n" for i in range(6) for k in range(4)]
                with gzip.open(place / "runs" / f"{one.label}.trec.gz", "wt") as file:
                    file.write("".join(rows))
        return folder

    return make


def _dataset(one, level, hard, source):
    names = [f"q{number}" for number in range(len(hard))]

    def run(mean):
        values = {measure: np.clip(mean + hard + source.normal(0, 0.05, len(hard)), 0, 1) for measure in one.measures}
        return {
            "measures": {measure: float(row.mean()) for measure, row in values.items()},
            "per_query": {q: {m: float(row[at]) for m, row in values.items()} for at, q in enumerate(names)},
            "queries": {"judged": len(hard), "missing": 0, "unjudged": 0},
        }

    first = {
        "measures": {measure: float(np.mean(0.45 + hard)) for measure in one.measures},
        "per_query": {q: dict.fromkeys(one.measures, float(0.45 + hard[at])) for at, q in enumerate(names)},
        "queries": {"judged": len(hard), "missing": 0, "unjudged": 0},
    }
    return {"first_stage": "bm25", "depth": 5, "runs": {"bm25": first, "reranked": run(level)}, "comparisons": []}
