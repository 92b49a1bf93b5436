"""The studies of the paper through the real code path: ir_datasets' readers, the records' layouts, tiny encoders.

What differs from `results/paper/study.toml` is the size: nine tiny encoders of the nine backbones' architectures, five
steps, one seed, and BM25 in place of the sparse encoder.
"""

import dataclasses
import hashlib
import json
import re
import sys
from pathlib import Path

import pytest

from cedistill.config.sources import SOURCES, SourceFile
from cedistill.config.train_data import bound
from cedistill.study.plan import Cell, cells, objective_of, references, train_data_of, training_sources
from cedistill.study.reading import load_study
from cedistill.study.run import plan_study, run_study

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "model"))

BACKBONES = {
    "ettin-17m": "modernbert", "ettin-32m": "modernbert", "minilm-l12": "bert", "ettin-68m": "modernbert",
    "bert-base": "bert", "electra-base": "electra", "roberta-base": "roberta", "ettin-150m": "modernbert",
    "deberta-v3-base": "deberta",
}  # fmt: skip
OBJECTIVES = ("bce", "hinge", "margin-mse", "infonce", "distill-ranknet", "adr-mse")


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """The files of the two records: 6 queries, whose document i is relevant to query 100 + i, with other documents."""
    folder = tmp_path / "sources"
    folder.mkdir()
    monkeypatch.setenv("CEDISTILL_SOURCES", str(folder))
    ranked = [f"{100 + i} Q0 {(i + 5 * k) % 24} {k + 1} {30 - k} colbert\n" for i in range(6) for k in range(20)]
    scored = [f"{9 - k}.25\t{k}.5\t{100 + i}\t{i}\t{6 + i + k}\n" for i in range(6) for k in range(4)]
    texts = {
        "msmarco-ensemble-scores": "".join(scored),
        "rank-distillm-colbert": "".join(ranked),
        "rank-distillm-rankzephyr-50": "".join(ranked).replace("colbert", "rankzephyr"),
        "rank-distillm-rankzephyr-100": "".join(ranked).replace("colbert", "rankzephyr"),
    }
    for name, text in texts.items():
        place = SOURCES[name].file
        file = SourceFile(place.url, hashlib.md5(text.encode()).hexdigest())
        monkeypatch.setitem(SOURCES, name, dataclasses.replace(SOURCES[name], file=file))
        (folder / place.name).write_text(text)
    return folder


@pytest.fixture(scope="session")
def encoders(tmp_path_factory):
    from families import config_of, tokenizer_of
    from transformers import AutoModel, set_seed

    folder = tmp_path_factory.mktemp("encoders")
    for name, family in BACKBONES.items():
        set_seed(0)
        AutoModel.from_config(config_of(family)).save_pretrained(folder / name)
        tokenizer_of(family).save_pretrained(folder / name)
    return folder


def _small(name, folder, encoders, changes=()):
    """Copy a shipped study, with tiny encoders, one seed, few steps and BM25."""
    text = (ROOT / "results" / name / "study.toml").read_text()
    text = re.sub(r"backbones = \[.*?\n?\]", lambda match: _as_folders(match[0], encoders), text, count=1, flags=re.S)
    text = re.sub(r"seeds = \[(\d+).*?\]", r"seeds = [\1]", text)
    text = text.replace("sparse:naver/splade-v3-distilbert", "bm25").replace("depth = 1000", "depth = 10")
    text = text.replace("[training]\n", '[training]\nsteps = 5\nwarmup_steps = 1\nprecision = "float32"\n', 1)
    text = re.sub(r'precision = "(auto|bf16)"\n', "", text)
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    folder.mkdir()
    (folder / "study.toml").write_text(text)
    return folder


def _as_folders(line, encoders):
    return re.sub(r'"([\w-]+)"', lambda match: json.dumps(str(encoders / match[1])), line)


def _quiet(*_):
    return lambda _: lambda *_: None


def test_the_grid_is_the_study_s():
    study, _ = load_study(ROOT / "results" / "paper")
    assert study.backbones == tuple(BACKBONES) and study.objectives == OBJECTIVES and len(cells(study)) == 162
    plans = {}
    for backbone, group in (("minilm-l12", "mini"), ("bert-base", "base")):
        for name in OBJECTIVES:
            objective = objective_of(study, Cell(backbone, name, study.seeds[0]))
            own, training = getattr(objective.training, group), objective.training
            assert (training.steps, training.warmup_steps, training.validate_every) == (200_000, 5_000, 5_000)
            assert (training.query_tokens, training.document_tokens, training.max_grad_norm) == (32, 256, 1.0)
            plans[name, group] = (own.learning_rate, (own.pairs or own.queries), objective.lists.size)
    for name in ("bce", "hinge", "margin-mse"):
        assert plans[name, "base"] == (1e-5, 32, 2) and plans[name, "mini"] == (7e-6, 64, 2)
    assert plans["infonce", "base"] == (1e-5, 4, 8) and plans["infonce", "mini"] == (7e-6, 8, 8)
    assert plans["adr-mse", "base"] == plans["distill-ranknet", "base"] == (1e-5, 1, 50)
    assert [one.name for one in training_sources(study)] == [
        "msmarco-triples", "msmarco-ensemble-scores", "rank-distillm-colbert", "rank-distillm-rankzephyr-50",
    ]  # fmt: skip
    evaluated = [one.dataset for one in study.evaluate]
    assert len(evaluated) == 1 + 2 + 13 + 5 + 1 and {one.depth for one in study.evaluate} == {1000}
    assert len(study.validation) == 13 and all(one.dataset.startswith("nano-beir/") for one in study.validation)
    assert ("msmarco-passage/train", "") in references(study)
    assert list(study.benchmarks) == ["msmarco-dev", "trec-dl", "beir", "lotte-search"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_all_54_cells_start_train_evaluate_and_appear_in_the_table(full_home, sources, encoders, tmp_path):
    folder = _small("paper", tmp_path / "paper", encoders)
    assert [state for _, state in plan_study(folder)] == ["run"] * 54
    table = run_study(folder, _quiet)
    trained = [row for row in table["rows"] if row["backbone"]]
    assert len(trained) == 54 and table["missing"] == []
    logs = sorted(folder.glob("*/*/*/log.jsonl"))
    assert len(logs) == 54
    for log in logs:
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        assert max(line["step"] for line in lines) == 5
        assert [0 <= line["validation"]["ndcg@10"] <= 1 for line in lines if "validation" in line] == [True] * 3
    figures = json.loads((logs[0].parent / "metrics.json").read_text())
    assert len(figures["datasets"]) == 22 and figures["means"]["beir"]["datasets"] == 13
    assert {state for _, state in plan_study(folder)} == {"keep"}


def test_a_second_stage_starts_from_the_first_s_model(full_home, sources, encoders, tmp_path):
    import torch
    from safetensors.torch import load_file

    steps = [("training.steps = 20_000", "training.steps = 3"), ("training.steps = 938", "training.steps = 2")]
    folder = _small("rank-distillm", tmp_path / "two", encoders, [*steps, ("queries = 32", "queries = 2")])
    assert [cell.objective for cell, _ in plan_study(folder, "*/two-stage-ranknet/*")] == [
        "infonce",
        "two-stage-ranknet",
    ]
    table = run_study(folder, _quiet)
    assert [row["objective"] for row in table["rows"][1:]] == [
        "infonce", "single-stage-ranknet", "two-stage-ranknet", "two-stage-adr-mse",
    ]  # fmt: skip
    place = {path.parent.parent.parent.name: path.parent for path in folder.glob("*/*/*/model/cedistill.json")}
    said = {name: json.loads((path / "cedistill.json").read_text()) for name, path in place.items()}
    weights = {name: load_file(path / "model.safetensors") for name, path in place.items()}
    digest = hashlib.sha256((place["infonce"] / "model.safetensors").read_bytes()).hexdigest()
    assert said["two-stage-ranknet"]["start"]["sha256"] == said["two-stage-adr-mse"]["start"]["sha256"] == digest
    assert said["single-stage-ranknet"]["start"] is None
    assert said["two-stage-ranknet"]["objective"]["loss"] == "ranknet"
    # Two steps at most at rate 1e-5 stay near where they started.
    name = next(name for name in weights["infonce"] if name.endswith("query.weight"))

    def distance(one, other):
        return torch.dist(weights[one][name], weights[other][name]).item()

    assert 0 < distance("two-stage-ranknet", "infonce") < distance("two-stage-ranknet", "single-stage-ranknet")
    assert said["infonce"]["objective"]["lists"]["negatives"]["to_rank"] == 200
    # Another first stage makes its second stages anew, and leaves the others alone.
    path = folder / "study.toml"
    path.write_text(path.read_text().replace("to_rank = 200", "to_rank = 10"))
    assert {cell.objective: state for cell, state in plan_study(folder)} == {
        "infonce": "run", "single-stage-ranknet": "keep", "two-stage-ranknet": "run", "two-stage-adr-mse": "run",
    }  # fmt: skip


def test_matched_lists_are_the_same_for_every_objective(full_home, sources, encoders, tmp_path):
    from cedistill.config.objective import schedule
    from cedistill.data.lists import TrainingLists
    from cedistill.data.pools import load_pools

    study, _ = load_study(_small("paper-matched", tmp_path / "matched", encoders))
    seen, targets = {}, {}
    for name in OBJECTIVES:
        cell = Cell(study.backbones[0], name, study.seeds[0])
        objective, data = bound(objective_of(study, cell), train_data_of(study, cell))
        pools = load_pools(data, labels="labels" in objective.lists.needs, positives=objective.lists.positives)
        lists = TrainingLists(pools, objective.lists, cell.seed, 40)
        assert {schedule(objective, group).lists_per_step for group in ("mini", "base")} == {4}
        seen[name] = [(one.query, one.documents) for one in lists]
        targets[name] = [one.targets.tolist() for one in lists]
    assert all(one == seen["bce"] for one in seen.values()) and len({query for query, _ in seen["bce"]}) == 6
    assert {len(documents) for _, documents in seen["bce"]} == {16}
    assert targets["bce"] == targets["infonce"] == targets["hinge"] and set(targets["bce"][0]) == {0.0, 1.0}
    assert targets["margin-mse"] == targets["adr-mse"] and len(set(targets["adr-mse"][0])) == 16


def test_a_dry_run_counts_without_network_and_writes_nothing(irds_home):
    from cedistill.study.dry_run import dry_run, dry_run_text

    result = dry_run(ROOT / "results" / "paper")
    assert len(result["cells"]) == 162 and result["work"]["training"]["steps"] == 162 * 200_000
    row = next(one for one in result["cells"] if one["cell"].startswith("minilm-l12/bce/"))
    # 64 lists of 2 documents a step; 40 validations of 13 x 50 queries x 100; of evaluation the queries x 1000.
    beir = 1406 + 1535 + 400 + 6666 + 648 + 7405 + 323 + 3452 + 10_000 + 1000 + 300 + 50 + 49
    queries = 6980 + 43 + 54 + beir + (1071 + 924 + 617 + 596 + 661) + 250
    nano = {"arguana": 50, "webis-touche2020": 49}
    validated = sum(nano.get(name, 50) for name in [*nano, *range(11)]) * 100 * 40
    assert row["pairs"] == pytest.approx(200_000 * 128 + validated + queries * 1000, rel=1e-6)
    assert result["downloads"]["by_hand"] and result["downloads"]["files_of_unknown_size"] > 0
    assert "Ettin-150M scores 3237 pairs/s" in result["measurement"]
    text = dry_run_text(result)
    assert "162 of 162 cells would run" in text and "32 400 000" in text
    # ir_datasets itself notes its version there as a data set is looked at.
    assert {path.name for path in irds_home.rglob("*") if path.is_file()} <= {"irds_version.txt"}
