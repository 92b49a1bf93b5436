import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from cedistill.study.throughput import throughput

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks" / "speed"


@pytest.fixture
def benches(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import contenders
    import encoders
    import machine
    import report

    yield SimpleNamespace(contenders=contenders, encoders=encoders, machine=machine, report=report)
    for name in ("contenders", "encoders", "machine", "report", "texts", "commands"):
        sys.modules.pop(name, None)


def tiny(shape):
    return shape._replace(layers=2, width=64, inner=64, vocabulary=31_000)


def test_lengths_are_spread_as_passages_are(benches):
    lengths = benches.encoders.passage_lengths(20_000)
    assert min(lengths) >= 20
    assert max(lengths) <= 288
    assert sum(lengths) / len(lengths) == pytest.approx(95, abs=1)
    # A batch of 32 padded to its longest: the work of MS MARCO's pairs is about 1.9 times the needed.
    waste = [32 * max(lengths[k : k + 32]) / sum(lengths[k : k + 32]) for k in range(0, 19_968, 32)]
    assert 1.7 < sum(waste) / len(waste) < 2.3


def test_steps_after_checkpoints_and_the_first_are_not_counted(benches, monkeypatch):
    ends = iter([0.0, 100.0, 100.0, 101.0, 101.0, 103.0, 103.0, 153.0, 153.0, 157.0, 157.0, 158.0, 158.0, 190.0, 190.0])
    monkeypatch.setattr(benches.contenders, "now", lambda: next(ends))
    clock = benches.contenders.StepClock(12)  # checkpoints after 3, 6, 9, 12
    for step in range(1, 8):
        clock.tick(step)
    assert (clock.seconds, clock.counted) == (1 + 2 + 4 + 1, 4)  # steps 2, 3, 5, 6; 1 warms up, 4 and 7 come after one


@pytest.mark.parametrize("name", ["minilm-l12", "ettin-150m", "deberta-v3-base", "roberta-base", "electra-base"])
def test_every_family_trains_and_scores(benches, name, monkeypatch):
    encoders = benches.encoders
    monkeypatch.setattr(encoders, "SHAPES", {name: tiny(shape) for name, shape in encoders.SHAPES.items()})
    monkeypatch.setattr(encoders, "HEAD_WIDTH", {})
    place = torch.device("cpu")
    scored = encoders.scoring(name, "float32", place, 20, 4, 1)
    assert scored["flops_per_second"] == pytest.approx(
        scored["pairs_per_second"] * encoders.forward_flops(encoders.SHAPES[name], 20)
    )
    trained = encoders.training(name, "float32", place, 4, 1)
    assert trained["steps_per_second"] > 0
    assert trained["documents_per_step"] == 4


def test_the_settings_are_those_of_the_objectives(benches):
    settings = benches.encoders.study_settings("bert-base")
    assert settings["margin-mse"] == {"documents": 64, "steps": 200_000}  # 32 pairs of two documents
    assert benches.encoders.study_settings("minilm-l12")["margin-mse"]["documents"] == 128
    assert set(settings) == {"bce", "hinge", "margin-mse", "infonce", "distill-ranknet", "adr-mse"}


def test_a_file_of_a_gpu_is_what_a_dry_run_reads(benches, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["speed", "--only", "encoders", "--repetitions", "1", "--output", str(tmp_path)])
    monkeypatch.setitem(sys.modules, "machine", benches.machine)
    import importlib.util

    spec = importlib.util.spec_from_file_location("speed_main", FOLDER / "__main__.py")
    main = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(main)
    encoders = benches.encoders
    monkeypatch.setattr(encoders, "SHAPES", {name: tiny(shape) for name, shape in encoders.SHAPES.items()})
    monkeypatch.setattr(encoders, "HEAD_WIDTH", {})
    monkeypatch.setattr(encoders, "study_settings", lambda name: {"bce": {"documents": 4, "steps": 7200}})
    monkeypatch.setattr(main, "BACKBONES", {"cpu": ("minilm-l6",), "cuda": ()})
    monkeypatch.setattr(benches.contenders, "rates", lambda: {"float32": 1e9, "bf16": 2e9})
    monkeypatch.setattr(benches.machine, "describe", lambda: {**SMALL, "gpu": "a GPU"})
    results = tmp_path / "results"
    monkeypatch.setattr(sys, "argv", [*sys.argv[:-1], str(results / "speed")])
    main.main()
    content = json.loads((results / "speed" / "a-gpu.json").read_text())
    row = content["encoders"]["backbones"]["minilm-l6"]
    assert row["study"]["bce"]["hours"] == pytest.approx(2 / row["training"][0]["steps_per_second"])
    assert row["profile"][0]["share"] > 0
    found = throughput(results)
    assert found.measurement == "a-gpu.json: a GPU"
    assert found.training == pytest.approx(row["training"][0]["flops_per_second"])
    assert "| minilm-l6 |" in (results / "speed" / "a-gpu.md").read_text()


SMALL = {
    "gpu": None,
    "processor": "P",
    "instructions": [],
    "cores": 2,
    "threads": 1,
    "load": 0.0,
    "memory_gb": 1,
    "python": "3",
    "versions": {},
}


def test_ratios_of_the_table_by_hand(benches):
    def row(speed):
        return {"pairs_per_second": speed, "slowest": speed, "fastest": speed, "share_of_matrix_rate": 0.5}

    found = {
        "tokens_per_pair": 95.0,
        "matrix_flops_per_second": {},
        "contenders": {
            "cedistill float32": row(20.0),
            "sentence-transformers float32": row(10.0),
            "cedistill bf16": row(60.0),
            "sentence-transformers bf16": row(12.0),
            "sentence-transformers bf16, one pass": row(15.0),
        },
    }
    part = {"setting": found, "command": "c", "clock": "wall", "load": 0.0, "measured": "now"}
    text = benches.report.markdown({"machine": SMALL, "training": part})
    assert "| cedistill float32 | 20.0 | 20.0 | 20.0 | 50 % | 2.00 | 2.00 |" in text
    assert "| cedistill bf16 | 60.0 | 60.0 | 60.0 | 50 % | 4.00 | 6.00 |" in text  # 15 is their faster one


def test_whole_commands_are_measured_without_their_parent(benches):
    found = benches.machine.whole_process([sys.executable, "-S", "-c", "pass"])
    assert found["peak_mb"] < 60  # a bare interpreter; this process is many times that
    with pytest.raises(RuntimeError, match=r"(?s)failed: .*ZeroDivisionError"):
        benches.machine.whole_process([sys.executable, "-c", "1 / 0"])
