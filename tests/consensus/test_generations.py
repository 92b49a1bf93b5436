import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import cedistill.evaluation.metrics  # loaded here: else it would keep the mean that a test below puts in place
import cedistill.teachers.quality  # noqa: F401
from cedistill.consensus.generations import consensus_table, run_consensus
from cedistill.data.collections import open_collection
from cedistill.data.runs import read_run
from cedistill.data.text_lists import read_text_lists
from cedistill.errors import InputError
from cedistill.teachers.pseudo_labels import pseudo_labels

STUDY = """
title = "Tiny consensus"
students = ["{bert}", "{other}"]
generations = {generations}
[labelled]
dataset = "{tiny}:train"
candidates = "{tiny}/candidates.trec"
[unlabelled]
dataset = "{tiny}"
candidates = "{tiny}/free.trec"
teachers = ["{tiny}/one.trec", "{tiny}/two.trec", "{tiny}/three.trec"]
[held_out]
dataset = "{tiny}:dev"
candidates = "{tiny}/candidates.trec"
[label]
weigh = {weigh}
[training]
steps = 3
queries = 2
learning_rate = 1e-3
precision = "float32"
"""


def silent(name):
    return lambda done, total, words: None


@pytest.fixture
def study(tiny, tiny_bert_with_dropout, tmp_path):
    """Queries q0 to q3 are labelled (train), q4 and q5 decide (dev); q6 to q8 are free, and q4 is among them too."""
    with (tiny / "queries.jsonl").open("a") as file:
        file.writelines(json.dumps({"_id": f"q{i}", "text": f"tells of topic{i}"}) + "\n" for i in range(6, 9))
    rows = (tiny / "qrels" / "test.tsv").read_text().splitlines(keepends=True)
    (tiny / "qrels" / "dev.tsv").write_text(rows[0] + "".join(one for one in rows if one.startswith(("q4", "q5"))))
    (tiny / "qrels" / "test.tsv").unlink()
    queries = ["q4", "q6", "q7", "q8"]
    (tiny / "free.trec").write_text("".join(f"{q} Q0 d{j} 1 {20 - j} free\n" for q in queries for j in range(8)))
    for number, name in enumerate(("one", "two", "three")):
        lines = [f"{q} Q0 d{j} 1 {(j * (number + 3)) % 8} {name}\n" for q in queries for j in range(8)]
        (tiny / f"{name}.trec").write_text("".join(lines))
    other = tmp_path / "other"
    other.symlink_to(tiny_bert_with_dropout)
    folder = tmp_path / "study"
    folder.mkdir()

    def write(generations=2, weigh="true"):
        text = STUDY.format(tiny=tiny, bert=tiny_bert_with_dropout, other=other, generations=generations, weigh=weigh)
        (folder / "consensus.toml").write_text(text)
        return folder

    return write


def test_generations_learn_from_labels_and_from_what_the_other_paths_agree_on(study, tiny, monkeypatch):
    ranks = iter([0.1, 0.2, 0.3, 0.5])
    monkeypatch.setattr("cedistill.evaluation.measures.mean", lambda values: next(ranks))
    folder = study(generations=1)
    result = run_consensus(folder, silent)
    first, second = (list(folder.glob(f"generation-{number}/*/lists.jsonl")) for number in (0, 1))
    assert len(first) == len(second) == 2
    for path in first:
        lists = list(read_text_lists(path))
        assert [one.query for one in lists] == [f"what about topic{i}" for i in range(4)]
        assert all(one.labels is not None and not one.scores for one in lists)
    people = [(one.query, one.documents, one.labels) for one in read_text_lists(first[0])]
    for path in second:
        lists = list(read_text_lists(path))
        # People's labels are as they were; q4 of dev gets no consensus, though it is among the candidates.
        assert [(one.query, one.documents, one.labels) for one in lists[:4]] == people
        assert [one.query for one in lists[4:]] == [f"tells of topic{i}" for i in (6, 7, 8)]
        # A student's own path is left out; the other student's is not.
        own = path.parent.name
        names = [one.parent.name for one in first if one.parent.name != own]
        runs = {name: read_run(tiny / f"{name}.trec") for name in ("one", "two", "three")}
        runs |= {name: read_run(folder / "generation-0" / name / "unlabelled.trec.gz") for name in names}
        expected = pseudo_labels(runs, ["q6", "q7", "q8"])
        texts = open_collection(f"{tiny}:train").documents
        for query_id, one in zip(expected, lists[4:], strict=True):
            labels = {texts[document]: value for document, value in expected[query_id].labels.items()}
            assert dict(zip(one.documents, one.scores["consensus"], strict=True)) == pytest.approx(labels)
            assert one.weight == pytest.approx(max(expected[query_id].confidence, 0)) and one.labels is None
    assert [one["accepted"] for one in result["generations"]] == [True, True] and result["accepted"] == 1
    assert result["generations"][0]["mean"] == pytest.approx(0.15)
    assert consensus_table(result).count("\n") == 5 and (folder / "consensus.md").is_file()


def test_a_generation_that_does_not_rise_is_rejected_and_ends_the_study(study, monkeypatch):
    ranks = iter([0.3, 0.5, 0.4, 0.4])
    monkeypatch.setattr("cedistill.evaluation.measures.mean", lambda values: next(ranks))
    folder = study(generations=3)
    result = run_consensus(folder, silent)
    assert [one["accepted"] for one in result["generations"]] == [True, False] and result["accepted"] == 0
    assert not (folder / "generation-2").exists()
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("generation-*/**/*") if path.is_file()}
    assert run_consensus(folder, silent) == result  # nothing runs again, nothing is overwritten
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    with pytest.raises(InputError, match="expected generations made of the same study, found those of another"):
        run_consensus(study(weigh="false"), silent)


KILLED = """
import os, signal, sys
from cedistill.consensus.generations import run_consensus

study, stop = sys.argv[1:]

def report(name):
    def progress(done, total, words):
        if f"{name}:{done}" == stop:
            os.kill(os.getpid(), signal.SIGKILL)
    return progress

run_consensus(study, report)
"""


def test_killed_and_resumed_equals_uninterrupted(study, tmp_path, monkeypatch):
    folder = study(generations=1)
    whole = tmp_path / "whole"
    whole.mkdir()
    (whole / "consensus.toml").write_text((folder / "consensus.toml").read_text())
    expected = run_consensus(whole, silent)
    student = sorted(one.name for one in (whole / "generation-1").iterdir() if one.is_dir())[0]
    for stop in (f"generation-1 {student}: training:2", "never"):
        status = subprocess.run(
            [sys.executable, "-c", KILLED, str(folder), stop], env=os.environ, check=False
        ).returncode
        assert status == (0 if stop == "never" else -signal.SIGKILL)
    assert json.loads((folder / "consensus.json").read_text()) == expected
    for path in whole.rglob("generation-*/**/*.trec.gz"):
        assert read_run(path) == read_run(folder / path.relative_to(whole)), path.name


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"{tiny}/two.trec", "{tiny}/three.trec"', "", "expected the runs of two paths or more, found 1"),
        ("weigh = true", 'how = "cshift"', "label.anchor: expected the name of a path"),
        ("weigh = true", "way = 1", "unknown key 'label.way'"),
        ("[training]", 'objective = "bce"\n[training]', "unknown key 'label.objective'"),
    ],
)
def test_wrong_files_are_refused_in_one_line(study, tiny, old, new, message):
    folder = study()
    text = (folder / "consensus.toml").read_text()
    assert old.format(tiny=tiny) in text
    (folder / "consensus.toml").write_text(text.replace(old.format(tiny=tiny), new))
    with pytest.raises(InputError, match=message) as caught:
        run_consensus(folder, silent)
    assert "\n" not in str(caught.value) and not list(Path(folder).glob("generation-*"))
