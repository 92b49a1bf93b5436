import dataclasses
import gzip
import hashlib
import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cedistill.config.objective import Lists, load_objective
from cedistill.config.sources import SOURCES, SourceFile, find_source
from cedistill.config.train_data import TrainData, bound, check_provides
from cedistill.data.lists import TrainingLists
from cedistill.data.pools import load_pools
from cedistill.errors import InputError


@pytest.fixture
def put(tmp_path, monkeypatch):
    """Put a text in the place of a source's file, with its checksum in the registry."""
    folder = tmp_path / "sources"
    folder.mkdir()
    monkeypatch.setenv("CEDISTILL_SOURCES", str(folder))

    def put(name, text):
        file = SourceFile(f"http://127.0.0.1:9/{name}.txt", hashlib.md5(text.encode()).hexdigest())
        monkeypatch.setitem(SOURCES, name, dataclasses.replace(SOURCES[name], file=file))
        (folder / f"{name}.txt").write_text(text)

    return put


def _lists(objective, tiny, source, count, seed=1, split="test"):
    loaded, data = bound(load_objective(objective), TrainData(source=source, dataset=f"{tiny}:{split}"))
    check_provides(loaded, data)
    labels = "labels" in loaded.lists.needs
    pools = load_pools(data, labels=labels, positives=loaded.lists.positives)
    return TrainingLists(pools, loaded.lists, seed, count)


def _seen(lists):
    return [(int(one.query[-1]), *(int(text.split()[1]) for text in one.documents)) for one in lists]


def test_files_of_the_records():
    files = {name: one.file for name, one in SOURCES.items() if one.file}
    assert len(files) == 8 and len({file.md5 for file in files.values()}) == 8
    assert files["msmarco-ensemble-scores"].url == (
        "https://zenodo.org/records/4068216/files/bert_cat_ensemble_msmarcopassage_train_scores_ids.tsv"
    )
    assert files["msmarco-bertbase-scores"].name == "bertbase_cat_msmarcopassage_train_scores_ids.tsv"
    assert files["rank-distillm-rankzephyr-50"].url == (
        "https://zenodo.org/records/12528410/files/"
        "__rankzephyr-colbert-10000-sampled-50__msmarco-passage-train-judged.run"
    )
    assert all(len(file.md5) == 32 and file.url.startswith("https://") for file in files.values())
    assert all(one.file or one.docpairs for one in SOURCES.values())


def test_every_shipped_objective_has_a_source_that_gives_what_it_needs():
    from cedistill.config.shipped import shipped_names

    for name in shipped_names("objectives"):
        objective, data = bound(load_objective(name), TrainData())
        assert data.source in SOURCES and objective.lists.order is not None
        check_provides(objective, TrainData())


def test_how_the_study_read_its_sources():
    def lists(objective, **data):
        return bound(load_objective(objective), TrainData(**data))[0].lists

    assert [lists(name).shuffle_seed for name in ("bce", "hinge", "margin-mse", "infonce")] == [123, 123, None, None]
    assert [lists(name).order for name in ("bce", "margin-mse", "infonce")] == ["shuffled", "file", "shuffled"]
    assert lists("infonce").positives == "retrieved"
    own = lists("margin-mse", dataset="d")  # own data are shuffled with the seed of the run
    assert (own.order, own.shuffle_seed, own.positives) == (None, None, None)
    objective = load_objective("margin-mse", ["lists.order=shuffled"])
    assert bound(objective, TrainData())[0].lists.order == "shuffled"


def test_scored_pairs_in_the_order_of_the_file(tiny, put):
    put("msmarco-ensemble-scores", "".join(f"{i}.5\t{7 - i}\tq{i}\td{i}\td{i + 1}\n" for i in range(6)))
    lists = _lists("margin-mse", tiny, "msmarco-ensemble-scores", 8)
    assert _seen(lists) == [(i, i, i + 1) for i in (0, 1, 2, 3, 4, 5, 0, 1)]
    assert [one.targets.tolist() for one in lists][5] == [5.5, 2.0]  # the teacher prefers the negative in line 1 to 3
    assert [one.targets.tolist() for one in lists][1] == [1.5, 6.0]


def test_triples_are_shuffled_the_same_for_every_seed(tiny, tmp_path, monkeypatch):
    rows = [(f"q{i}", f"d{i}", f"d{j}") for i in range(6) for j in range(6, 20)]
    home = tmp_path / "home" / "msmarco-passage" / "train"
    home.mkdir(parents=True)
    (home / "docpairs.tsv.gz").write_bytes(gzip.compress("".join("\t".join(row) + "\n" for row in rows).encode()))
    code = (
        "import sys, json\nfrom cedistill.config.train_data import TrainData\nfrom cedistill.data.lists import *\n"
        "from cedistill.data.pools import load_pools\nfrom cedistill.config.objective import Lists\n"
        "pools = load_pools(TrainData(source='msmarco-triples', dataset=sys.argv[1]), labels=True)\n"
        "lists = Lists(kind='pairs', needs=('labels',), size=2, shuffle_seed=123)\n"
        "both = [TrainingLists(pools, lists, seed, 84) for seed in (1, 2)]\n"
        "print(json.dumps([[[one.query, *one.documents, *one.targets.tolist()] for one in each] for each in both]))\n"
    )
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "home"))
    done = subprocess.run([sys.executable, "-c", code, str(tiny)], capture_output=True, text=True, check=True)
    one, other = json.loads(done.stdout)
    found = [(f"q{row[0][-1]}", *(f"d{text.split()[1]}" for text in row[1:3])) for row in one]
    assert one == other and sorted(found) == sorted(rows) and found != rows and all(row[3:] == [1, 0] for row in one)


def _run(ids):
    lines = [
        f"{q} 0 {d} {rank} {20 - rank} colbert\n" for q, documents in ids.items() for rank, d in enumerate(documents)
    ]
    return "".join(lines)


def test_one_list_per_relevant_document_that_is_in_the_run(tiny, put):
    # relevant: d<i> and d<i+6>; q0 has both, q1 the second, q2 none; q4 and q5 are not judged in train
    run = {"q0": ["d9", "d0", "d3", "d6", "d10"], "q1": ["d7", "d20"], "q2": ["d20", "d21"], "q4": ["d4", "d5"]}
    put("rank-distillm-colbert", _run(run))
    seen = _seen(_lists("infonce", tiny, "rank-distillm-colbert", 6, split="train"))
    assert sorted((one[0], one[1]) for one in seen) == sorted([(0, 0), (0, 6), (1, 7)] * 2)
    assert all(set(one[2:]) == ({9, 3, 10} if one[0] == 0 else {20}) for one in seen)  # without replacement


def test_judged_positives_join_the_run(tiny, put):
    put("rank-distillm-colbert", _run({"q2": ["d20", "d21"]}))
    data = TrainData(source="rank-distillm-colbert", dataset=str(tiny))
    lists = Lists(kind="positive-and-negatives", needs=("labels",), size=8)
    assert {one[1] for one in _seen(TrainingLists(load_pools(data, labels=True), lists, 1, 4))} == {2, 8}
    with pytest.raises(InputError, match="expected queries with a document of grade 1 or more"):
        TrainingLists(load_pools(data, labels=True, positives="retrieved"), lists, 1, 4)


def test_rankings_of_a_teacher(tiny, put):
    put("rank-distillm-rankzephyr-50", _run({"q0": ["d9", "d0", "d3"], "q1": ["d7", "d20"]}))
    for one in _lists("distill-ranknet", tiny, "rank-distillm-rankzephyr-50", 4):
        by_target = [text for _, text in sorted(zip(-one.targets, one.documents, strict=True))]
        expected = {"0": [9, 0, 3], "1": [7, 20]}[one.query[-1]]
        assert [int(text.split()[1]) for text in by_target] == expected


def test_parquet_of_the_hub_in_place_of_the_run(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("CEDISTILL_SOURCES", str(tmp_path))
    columns = {"query_id": ["q0", "q0", "q1"], "doc_id": ["d0", "d3", "d1"], "score": [3.0, 2.0, 1.0]}
    pq.write_table(pa.table(columns), tmp_path / "rank-distillm-rankzephyr-10.parquet")
    assert {one[0] for one in _seen(_lists("adr-mse", tiny, "rank-distillm-rankzephyr-10", 2))} == {0}


def test_entries_of_many_queries_are_found_once(tiny, put, monkeypatch):
    from cedistill.data import lists as module

    monkeypatch.setattr(module, "_KEPT_FROM", 1)
    put("rank-distillm-colbert", _run({"q0": ["d9", "d0", "d3"], "q1": ["d7", "d20"]}))
    first = _seen(_lists("infonce", tiny, "rank-distillm-colbert", 4))
    monkeypatch.setattr(module, "_scanned", lambda *_: pytest.fail("scanned again"))
    assert _seen(_lists("infonce", tiny, "rank-distillm-colbert", 4)) == first


@pytest.mark.parametrize(
    ("line", "message"),
    [("q9 0 d1 1 1.0 x", "query 'q9'"), ("q0 0 d99 1 1 x", "document 'd99'")],
)
def test_own_texts_must_hold_the_ids(tiny, put, line, message):
    put("rank-distillm-colbert", f"q1 0 d1 1 1.0 x\n{line}\n")
    with pytest.raises(
        InputError, match=rf"colbert\.txt:2: expected a text in tiny:test for each id, found none for the {message}"
    ):
        _lists("infonce", tiny, "rank-distillm-colbert", 4)


@pytest.mark.parametrize(
    ("objective", "data", "message"),
    [
        ("bce", {"source": "msmarco-tripels"}, "unknown source 'msmarco-tripels'; did you mean 'msmarco-triples'"),
        (
            "bce",
            {"source": "msmarco-triples", "pairs": "a"},
            "expected --source alone or with --dataset, found .* pairs",
        ),
        ("infonce", {"source": "msmarco-triples"}, "found the pairs of msmarco-triples; take a source of runs"),
        ("margin-mse", {"source": "msmarco-triples"}, "needs teacher-scores, found msmarco-triples without scores"),
    ],
)
def test_sources_that_do_not_fit(objective, data, message):
    with pytest.raises(InputError, match=message):
        check_provides(load_objective(objective), TrainData(**data))


def test_an_objective_without_a_source_needs_data(tmp_path):
    loaded = load_objective("bce")
    bare = loaded.model_copy(update={"lists": loaded.lists.model_copy(update={"source": None})})
    with pytest.raises(InputError, match="needs training data, found none; give --dataset"):
        check_provides(bare, TrainData())


def test_training_on_a_source_with_own_texts(tiny, tiny_bert, tmp_path, put):
    from cedistill.training.train import train

    put("msmarco-ensemble-scores", "".join(f"{i}.5\t{7 - i}\tq{i}\td{i}\td{i + 1}\n" for i in range(6)))
    settings = ["training.steps=2", "training.queries=3", "training.learning_rate=1e-3"]
    data = TrainData(source="msmarco-ensemble-scores", dataset=str(tiny))
    phases = []
    done = train(
        str(tiny_bert),
        "margin-mse",
        tmp_path / "out",
        data=data,
        settings=settings,
        workers=0,
        report=lambda name: phases.append(name) or (lambda *_: None),
    )
    assert done["data"]["source"] == "msmarco-ensemble-scores" and done["objective"]["lists"]["order"] == "file"
    assert [one["role"] for one in done["inputs"]] == ["source", "dataset", "dataset", "dataset"]
    assert phases == ["downloading msmarco-ensemble-scores.txt", "reading msmarco-ensemble-scores.txt"]


def test_sources_are_listed():
    from cedistill.listing import listing

    rows = {row["name"]: row for row in listing("sources")}
    assert rows["rank-distillm-colbert"]["kind"] == "run" and set(rows) == set(SOURCES)
    assert find_source("msmarco-triples").docpairs == "msmarco-passage/train"


def test_a_study_names_a_source(tiny, tmp_path, put):
    from cedistill.study.identity import training_identity
    from cedistill.study.plan import cells
    from cedistill.study.reading import load_study

    put("msmarco-ensemble-scores", "1\t0\tq0\td0\td1\n")
    path = tmp_path / "study.toml"
    text = (
        'title = "s"\nbackbones = ["bert-base"]\nobjectives = ["margin-mse"]\n{train}\n[[evaluate]]\n'
        f'dataset = "{tiny}"\ncandidates = "bm25"\n'
    )

    def identity(train):
        path.write_text(text.replace("{train}", train))
        study, _ = load_study(path)
        return study.train.source, training_identity(study, cells(study)[0])

    source, named = identity('[train]\nsource = "msmarco-ensemble-scores"')
    assert source == "msmarco-ensemble-scores" and identity("") == (None, named)  # it is the objective's own
    assert identity('[train]\nsource = "msmarco-bertbase-scores"')[1] != named
    with pytest.raises(InputError, match=r"unknown key 'train\.sources'; did you mean 'train\.source'"):
        identity('[train]\nsources = "a"')
