"""Recorded answers of real LLMs, given by a real server, make the recorded runs."""

import gzip
import json
import re
from collections import Counter, defaultdict

import pytest
from servers import Chat, said, serving

from cedistill.data.collections import open_collection
from cedistill.data.runs import read_run
from cedistill.teachers.llm.prompts import load_template, ranking_messages
from cedistill.teachers.llm.settings import Settings
from cedistill.teachers.llm.windows import windows

_PASSAGES = re.compile(r"\n\n\[1\] .*\nSearch Query", re.S)


def _recorded(shared_data, name):
    with gzip.open(shared_data / "llm-responses" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _query(prompt):
    return re.search(r"Search [Qq]uery: (.*)\n", prompt)[1].strip().removesuffix(".")


class _Player:
    """Answers the n-th question about a query with the n-th recorded answer about it."""

    def __init__(self, recorded):
        self.answers, self.asked = defaultdict(list), Counter()
        for one in recorded:
            self.answers[_query(one["prompt"])].append(one["response"])

    def __call__(self, request):
        query = re.search(r"Search query: (.*)\n", said(request))[1].strip()
        self.asked[query] += 1
        return self.answers[query][self.asked[query] - 1]


@pytest.mark.parametrize(
    ("name", "depth", "queries", "malformed"),
    [
        ("dl19.rankvicuna-bm25-top20", 20, 43, 0),
        ("dl20.rankvicuna-bm25-top20", 20, 54, 0),
        ("dl19.vicuna-checkpoint-800-bm25-top20", 20, 43, 17),
        ("dl19.vicuna-13b-bm25-top100", 100, 43, 387),
    ],
)
def test_recorded_answers(name, depth, queries, malformed, shared_data, ask_server):
    split = name.partition(".")[0]
    collection = open_collection(f"{shared_data}/msmarco-v1:{split}")
    candidates = read_run(shared_data / "msmarco-v1" / "runs" / f"{split}.bm25.trec.gz")
    recorded = _recorded(shared_data, name)
    with serving(Chat(_Player(recorded))) as chat:
        taught = ask_server(chat, collection, candidates, Settings(depth=depth))
    assert taught.account["malformed"] == malformed and len(chat.requests) == len(recorded)
    assert len(taught.run) == queries
    for query_id, scores in taught.run.items():
        assert set(scores) == set(candidates[query_id])
        assert sorted(scores.values()) == [float(rank) for rank in range(1, len(scores) + 1)]
    if depth == 20:  # the recorded run is its file's order: its scores are those of BM25, ties and all
        expected = read_run(shared_data / "llm-responses" / f"{name}.trec.gz")
        same = [sorted(scores, key=lambda one: -scores[one]) == list(expected[q]) for q, scores in taught.run.items()]
        assert sum(same) == queries


def test_nine_windows_a_query_are_those_of_the_recorded_run(shared_data):
    """Read as it was then (every number anywhere counts), the nine recorded answers of a query make its run."""
    name = "dl19.vicuna-13b-bm25-top100"
    player = _Player(_recorded(shared_data, name))
    expected = read_run(shared_data / "llm-responses" / f"{name}.trec.gz")
    candidates = read_run(shared_data / "msmarco-v1" / "runs" / "dl19.bm25.trec.gz")
    collection = open_collection(f"{shared_data}/msmarco-v1:dl19")
    same = 0
    for query_id, scores in candidates.items():
        order = list(scores)
        for (start, end), answer in zip(windows(100), player.answers[collection.queries[query_id]], strict=True):
            named = [int(one) for one in re.findall("[0-9]+", answer) if 1 <= int(one) <= 20]
            places = list(dict.fromkeys([*named, *range(1, 21)]))
            order[start:end] = [order[start + place - 1] for place in places]
        same += order == list(expected[query_id])
    assert same == 43


def test_a_user_s_template_asks_as_the_model_was_trained(shared_data, tmp_path):
    """A template file can ask word for word what the recorded prompts ask."""
    recorded = _recorded(shared_data, "dl20.rankvicuna-bm25-top20")
    first = recorded[0]["prompt"]
    system, _, rest = first.partition(" USER: ")
    user = _PASSAGES.sub("\n\n{passages}\nSearch Query", rest.removesuffix(" ASSISTANT:"))
    user = user.replace(_query(first), "{query}").replace("20 passages", "{count} passages")
    file = tmp_path / "rankvicuna.toml"
    messages = [("system", system), ("user", user)]
    file.write_text(
        'title = "t"\nanswer = "ranking"\n'
        + "".join(f"[[messages]]\nrole = {json.dumps(role)}\ntext = {json.dumps(text)}\n" for role, text in messages)
    )
    template = load_template("ranking", file)
    for one in recorded:
        passages = re.split(r"\n\[\d+\] ", _PASSAGES.search(one["prompt"])[0].removesuffix("\nSearch Query"))[1:]
        asked = ranking_messages(template, _query(one["prompt"]), passages)
        assert f"{asked[0]['content']} USER: {asked[1]['content']} ASSISTANT:" == one["prompt"]
