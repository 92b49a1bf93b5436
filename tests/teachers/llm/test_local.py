import asyncio

import pytest
import torch

from cedistill.data.collections import open_collection
from cedistill.data.runs import read_run
from cedistill.errors import InputError
from cedistill.teachers.llm.journal import open_journal
from cedistill.teachers.llm.models import model_name, open_model
from cedistill.teachers.llm.pace import Budget
from cedistill.teachers.llm.questions import Question, Refused
from cedistill.teachers.llm.teach import teach


@pytest.fixture
def local(tiny_llm, settings):
    return open_model(str(tiny_llm), settings())


def _question(text, **parameters):
    return Question([{"role": "user", "content": text}], {"max_tokens": 4, **parameters}, 2)


def _greedy(local, text, count):
    """The likeliest tokens one after the other, each from a forward pass over everything, and their log-softmax."""
    ids = local.tokenizer(f"user: {text}<end>assistant: ", return_tensors="pt", add_special_tokens=False)["input_ids"]
    ids, steps = ids.to(local.model.device), []
    for _ in range(count):
        with torch.inference_mode():
            steps.append(local.model(ids).logits[0, -1].float().log_softmax(-1))
        ids = torch.cat([ids, steps[-1].argmax().view(1, 1)], dim=1)
    return local.tokenizer.decode(ids[0, -count:]), steps


def test_answers_are_the_likeliest_tokens_also_in_a_batch_of_several_lengths(local):
    texts = ["why?", "a much longer question than the others", "so"]
    found = local.complete([_question(text, logprobs=True, top_logprobs=5) for text in texts])
    for text, completion in zip(texts, found, strict=True):
        expected, steps = _greedy(local, text, 4)
        assert completion.text == expected and completion.completion_tokens == 4
        assert completion.prompt_tokens == len(f"user: {text}") + 1 + len("assistant: ")
        # Halves of characters decode alike: of these the likeliest one is kept.
        top = {local.tokenizer.decode([token]): steps[0][token].item() for token in steps[0].topk(5).indices.flip(0)}
        assert completion.tokens[0] == pytest.approx(top, abs=1e-4)
    assert local.complete([_question("why?")])[0].tokens is None


def test_questions_that_wait_together_go_in_one_batch(local, monkeypatch):
    sizes, complete = [], local.complete
    monkeypatch.setattr(local, "complete", lambda questions: (sizes.append(len(questions)), complete(questions))[1])

    async def six():
        return await asyncio.gather(*(local.answer(_question(f"number {number}")) for number in range(6)))

    found = asyncio.run(six())
    assert sizes == [4, 2]  # four workers
    assert [one.text for one in found] == [_greedy(local, f"number {number}", 4)[0] for number in range(6)]


def test_a_question_that_is_too_long_is_refused(local):
    with pytest.raises(Refused) as error:
        local.complete([_question("x" * 5000)])
    assert "at most 4096 tokens" in error.value.reason


@pytest.mark.parametrize("method", ["listwise", "pointwise"])
def test_a_local_model_teaches_and_its_journal_is_enough(method, tiny, tiny_llm, settings, tmp_path, monkeypatch):
    collection, candidates = open_collection(str(tiny)), read_run(tiny / "candidates.trec")
    wanted = settings(method=method, depth=4, answer_tokens=4)

    def taught():
        with open_journal(tmp_path / "j.jsonl") as journal:
            return teach(open_model(str(tiny_llm), wanted), collection, candidates, wanted, journal, Budget())

    first = taught()
    assert first.account["requests"] == first.account["answers"] == (6 if method == "listwise" else 24)
    assert set(first.run) == set(candidates)
    assert (
        all(len(scores) == (10 if method == "listwise" else 4) for scores in first.run.values()) or method != "listwise"
    )
    again = taught()
    assert again.run == first.run and again.account["requests"] == 0


def test_the_journal_tells_models_of_one_name_apart(tiny_llm, tmp_path, settings):
    name = model_name(str(tiny_llm), settings())
    assert name.startswith("tiny-llm@")
    other = tmp_path / "tiny-llm"
    other.mkdir()
    for file in tiny_llm.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    assert model_name(str(other), settings()) == name
    (other / "config.json").write_text("{}")
    assert model_name(str(other), settings()) != name


def test_folders_that_hold_no_language_model(tiny_bert, tmp_path, settings):
    with pytest.raises(InputError, match="--base-url"):
        model_name(str(tmp_path / "nothing"), settings())
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"config\.json"):
        open_model(str(tmp_path / "empty"), settings())
    with pytest.raises(InputError, match="--temperature 0"):
        open_model(str(tiny_bert), settings(temperature=0.5))
