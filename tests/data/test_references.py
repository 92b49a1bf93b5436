import pytest

from cedistill.data.references import is_retriever, parse_retriever, retriever_beside, retriever_files, run_path
from cedistill.errors import InputError


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("bm25", ("bm25", "")),
        ("bi-encoder:minilm-l6", ("bi-encoder", "minilm-l6")),
        ("sparse:naver/splade-v3-distilbert", ("sparse", "naver/splade-v3-distilbert")),
        ("sparse:/models/a:b", ("sparse", "/models/a:b")),
    ],
)
def test_names_of_first_stages(reference, expected):
    assert is_retriever(reference) and parse_retriever(reference) == expected


@pytest.mark.parametrize("reference", ["./bm25", "bm25:x", "bi-encoder", "sparse:", "demo:dev.bm25", "runs/a.trec", ""])
def test_other_references_are_none(reference):
    assert not is_retriever(reference)
    with pytest.raises(InputError, match=r"unknown retriever .*known: bm25, bi-encoder:M, sparse:M"):
        parse_retriever(reference)


def test_a_path_is_a_path(tmp_path):
    assert run_path("a/b.trec").as_posix() == "a/b.trec"


def test_models_that_are_folders(tmp_path):
    (tmp_path / "model" / "1_Pooling").mkdir(parents=True)
    for name in ("b.json", "1_Pooling/config.json", ".hidden"):
        (tmp_path / "model" / name).write_text("{}")
    assert retriever_beside("sparse:model", tmp_path) == f"sparse:{tmp_path}/model"
    assert retriever_beside("sparse:naver/model", tmp_path) == "sparse:naver/model"
    assert retriever_beside("bm25", tmp_path) == "bm25"
    files = [tmp_path / "model" / "1_Pooling" / "config.json", tmp_path / "model" / "b.json"]
    assert retriever_files(f"sparse:{tmp_path}/model") == files
    assert retriever_files("sparse:naver/model") == [] and retriever_files("bm25") == []
