"""Public data sets in training and in studies."""

from cedistill.config.train_data import TrainData
from cedistill.study.run import plan_study, run_study


def test_pools_of_a_public_data_set(full_home, tmp_path):
    from cedistill.data.pools import load_pools

    run = tmp_path / "run.trec"
    run.write_text("".join(f"q{i} Q0 d{(i + k) % 24} {k + 1} {20 - k} x\n" for i in range(6) for k in range(5)))
    pools = load_pools(TrainData(dataset="beir/scifact/train", candidates=str(run)), labels=True)
    first = pools.table[0]
    assert first["query_id"] == "q0" and first["document_ids"] == ["d0", "d1", "d2", "d3", "d4", "d6"]
    assert first["labels"][:2] == [2.0, 0.0] and first["labels"][-1] == 1.0
    assert pools.documents["d6"] == "Title 6 this tells of topic0"
    assert pools.inputs[0][:2] == ("dataset", "beir-scifact-train.json")


def _study(folder, tiny_bert, *datasets):
    folder.mkdir(exist_ok=True)
    tables = "".join(f'[[evaluate]]\ndataset = "{one}"\n' for one in datasets)
    (folder / "study.toml").write_text(
        f'title = "t"\nbackbones = ["{tiny_bert}"]\nobjectives = ["untrained"]\n{tables}'
    )
    return folder


def test_a_study_on_public_data_sets_is_kept_until_the_data_change(full_home, tiny_bert, tmp_path):
    folder = _study(tmp_path / "s", tiny_bert, "nano-beir/nq", "disks45/nocr/trec-robust-2004:description")
    assert [state for _, state in plan_study(folder)] == ["run"]
    table = run_study(folder, lambda *_: lambda _: lambda *_: None)
    assert [one["dataset"] for one in table["columns"]][::2] == [
        "nano-beir-nq", "disks45-nocr-trec-robust-2004-description",
    ]  # fmt: skip
    assert [state for _, state in plan_study(folder)] == ["keep"]
    _study(folder, tiny_bert, "nano-beir/nq", "disks45/nocr/trec-robust-2004")
    assert [state for _, state in plan_study(folder)] == ["run"]


def test_planning_fetches_nothing_and_running_fetches_first(irds_home, tiny_bert, tmp_path):
    from cedistill.errors import InputError

    folder = _study(tmp_path / "s", tiny_bert, "beir/scifact/test")
    assert [state for _, state in plan_study(folder)] == ["run"]
    try:
        run_study(folder, lambda *_: lambda _: lambda *_: None)
    except InputError as error:
        assert "found no connection" in str(error)
    else:
        raise AssertionError("a study ran without its data")
    assert [one.name for one in folder.iterdir()] == ["study.toml"]
