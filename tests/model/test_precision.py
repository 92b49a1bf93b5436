import json
import time
from pathlib import Path

import pytest
import torch

from cedistill.errors import InputError
from cedistill.model import precision
from cedistill.model.precision import autocast, choose_precision, measure_precision


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CEDISTILL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "precision.json"


@pytest.fixture
def measured(monkeypatch):
    """Measured times in place of a measurement; counts how often they are asked for."""
    calls = []

    def medians(device, width):
        calls.append((device, width))
        return {"float32": 1.0, "bf16": 0.5}

    monkeypatch.setattr(precision, "_medians", medians)
    return calls


@pytest.mark.parametrize("request_", ["float32", "bf16"])
def test_a_given_precision_is_not_measured(request_, cache, measured):
    assert choose_precision(request_, "cpu") == request_
    assert not measured
    assert not cache.exists()


def test_float32_on_a_gpu_multiplies_in_tf32(monkeypatch, cache):
    asked = []
    monkeypatch.setattr(torch, "set_float32_matmul_precision", asked.append)
    choose_precision("float32", "cpu")
    choose_precision("bf16", "cuda")
    assert asked == []
    choose_precision("float32", "cuda")
    assert asked == ["high"]


def test_unknown_precision_is_refused():
    with pytest.raises(InputError, match=r"unknown precision 'fp32'; .*known: auto, float32, bf16"):
        choose_precision("fp32", "cpu")


def test_auto_measures_once_and_remembers(cache, measured):
    assert choose_precision("auto", "cpu") == "bf16"
    assert choose_precision("auto", torch.device("cpu")) == "bf16"
    assert len(measured) == 1
    (key,) = json.loads(cache.read_text())
    assert torch.__version__ in key


def test_another_device_version_or_width_is_measured_anew(cache, measured, monkeypatch):
    choose_precision("auto", "cpu")
    monkeypatch.setattr(torch, "__version__", "99.0")
    choose_precision("auto", "cpu")
    monkeypatch.setattr(precision, "_model_of", lambda device: "another processor")
    choose_precision("auto", "cpu")
    choose_precision("auto", "cpu", width=64)
    assert [width for _, width in measured] == [384, 384, 384, 64]
    assert len(json.loads(cache.read_text())) == 4


@pytest.mark.parametrize("content", ["", "{", "[1]", '"bf16"', "\x00\x01", None])
def test_bad_cache_is_ignored(content, cache, measured):
    choose_precision("auto", "cpu")
    (key,) = json.loads(cache.read_text())
    cache.write_text(json.dumps({key: "fp64"}) if content is None else content)
    assert choose_precision("auto", "cpu") == "bf16"
    assert len(measured) == 2
    assert json.loads(cache.read_text())[key] == "bf16"


def test_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch, measured):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CEDISTILL_CACHE", str(tmp_path / "file" / "cache"))
    assert choose_precision("auto", "cpu") == "bf16"


@pytest.mark.parametrize(("bf16", "answer"), [(0.5, "bf16"), (0.95, "float32"), (3.0, "float32")])
def test_bf16_only_where_it_is_clearly_faster(bf16, answer, monkeypatch):
    monkeypatch.setattr(precision, "_medians", lambda device, width: {"float32": 1.0, "bf16": bf16})
    assert measure_precision(torch.device("cpu")) == answer


def test_a_device_without_bfloat16_runs_float32(monkeypatch):
    def medians(device, width):
        raise RuntimeError("bfloat16 is not supported")

    monkeypatch.setattr(precision, "_medians", medians)
    assert measure_precision(torch.device("cpu")) == "float32"


def test_the_measurement_is_short_and_leaves_threads_and_random_state():
    state, threads, start = torch.get_rng_state(), torch.get_num_threads(), time.perf_counter()
    with torch.no_grad():
        assert measure_precision(torch.device("cpu")) in ("float32", "bf16")
    assert time.perf_counter() - start < 5  # about 1 on an idle machine
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_bf16_instructions_are_found():
    facts = Path("/proc/cpuinfo")
    if not facts.is_file() or not {"avx512_bf16", "amx_bf16"} & set(facts.read_text().split()):
        pytest.skip("needs a processor with bfloat16 instructions")
    assert measure_precision(torch.device("cpu")) == "bf16"


def test_autocast_runs_in_the_precision():
    layer, hidden = torch.nn.Linear(4, 4), torch.ones(1, 4)
    with autocast("bf16", "cpu"):
        assert layer(hidden).dtype == torch.bfloat16
    with autocast("float32", "cpu"):
        assert layer(hidden).dtype == torch.float32
