import numpy as np
import pytest
import torch
from families import PAIRS, model_of, tokenizer_of

from cedistill.errors import InputError
from cedistill.model import forward, scoring
from cedistill.model.encode import make_encoder
from cedistill.model.reranker import Reranker
from cedistill.model.scoring import score_pairs, score_stream


@pytest.fixture(params=["padded", "packed"])
def reranker(request, monkeypatch):
    if request.param == "padded":
        monkeypatch.setattr(forward, "packing_of", lambda *others: None)
    return Reranker.of(model_of("bert"), tokenizer_of("bert"), device="cpu")


def test_a_stream_gives_the_scores_of_its_pairs_and_reads_little_ahead(reranker, monkeypatch):
    expected = reranker.score(PAIRS * 3)
    monkeypatch.setattr(scoring, "WINDOW", 4)
    read = []

    def pairs():
        for pair in PAIRS * 3:
            read.append(pair)
            yield pair

    stream = reranker.stream(pairs())
    values = [next(stream)]
    assert len(read) == 8  # a window that is scored, and one that is tokenised meanwhile
    values += stream
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-5)
    assert all(isinstance(value, float) for value in values)


def test_between_windows_the_model_is_as_it_was(monkeypatch):
    monkeypatch.setattr(scoring, "WINDOW", 4)
    model, encoder = model_of("bert").train(), make_encoder(tokenizer_of("bert"))
    for _ in score_stream(model, encoder, PAIRS):
        assert model.training
        assert not torch.is_inference_mode_enabled()
        assert torch.is_grad_enabled()


def test_a_stream_that_is_left_early_ends(reranker, monkeypatch):
    monkeypatch.setattr(scoring, "WINDOW", 2)
    stream = reranker.stream(iter(PAIRS))
    next(stream)
    stream.close()
    assert list(reranker.stream(iter([]))) == []


def test_errors_of_the_source_and_of_its_pairs_come_through(reranker, monkeypatch):
    monkeypatch.setattr(scoring, "WINDOW", 2)

    def broken():
        yield from PAIRS[:5]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(reranker.stream(broken()))
    with pytest.raises(InputError, match="at index 3"):
        list(reranker.stream([*PAIRS[:3], "ab"]))


def test_a_compiled_model_runs_in_place_of_the_model():
    model, encoder = model_of("bert"), make_encoder(tokenizer_of("bert"))
    chunks = []

    class Compiled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, **inputs):
            chunks.append(set(inputs))
            return self.inner(**inputs)

    scores = score_pairs(model, encoder, PAIRS, compiled=Compiled())
    np.testing.assert_allclose(scores, score_pairs(model, encoder, PAIRS), rtol=0, atol=1e-5)
    assert chunks


@pytest.mark.slow
@pytest.mark.parametrize("padded", [False, True])
def test_compiled_scores_are_the_same(padded, monkeypatch):
    if padded:
        monkeypatch.setattr(forward, "packing_of", lambda *others: None)
    plain = Reranker.of(model_of("bert"), tokenizer_of("bert"), device="cpu")
    compiled = Reranker.of(model_of("bert"), tokenizer_of("bert"), device="cpu", compile=True)
    np.testing.assert_allclose(compiled.score(PAIRS), plain.score(PAIRS), rtol=0, atol=1e-5)
