import json
from pathlib import Path

import pytest

from cedistill.config.train_data import TrainData
from cedistill.errors import InputError
from cedistill.training.tracking import trackers, tracking
from cedistill.training.train import train

SETTINGS = ["training.steps=4", "training.queries=4", "training.precision=float32"]


def _train(tiny, backbone, output, report_to):
    data = TrainData(dataset=str(tiny), candidates=str(tiny / "candidates.trec"))
    train(str(backbone), "bce", output, data=data, settings=SETTINGS, report_to=report_to)
    return [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]


def _events(folder):
    from tensorboardX.proto.event_pb2 import Event

    content = next(folder.glob("events.out.tfevents.*")).read_bytes()
    while content:  # length, its checksum, the event, its checksum
        size = int.from_bytes(content[:8], "little")
        yield Event.FromString(content[12 : 12 + size])
        content = content[16 + size :]


def test_tensorboard_shows_what_the_log_says(tiny, tiny_bert, tmp_path, monkeypatch):
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    log = _train(tiny, tiny_bert, tmp_path / "one", ["tensorboard"])
    shown = [(event.step, value.simple_value) for event in _events(tmp_path / "one" / "tensorboard")
             for value in event.summary.value if value.tag == "train/loss"]  # fmt: skip
    assert [step for step, _ in shown] == [line["step"] for line in log] == [1, 2, 3, 4]
    assert [loss for _, loss in shown] == pytest.approx([line["loss"] for line in log], rel=1e-6)


def test_nothing_is_tracked_unless_asked_for(tiny, tiny_bert, tmp_path):
    _train(tiny, tiny_bert, tmp_path / "one", [])
    assert not (tmp_path / "one" / "tensorboard").exists()


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ([], ()),
        (["none"], ()),
        (["tensorboard"], ("tensorboard",)),
        (["wandb, tensorboard", "wandb"], ("wandb", "tensorboard")),
        (["all"], ("tensorboard", "wandb")),
    ],
)
def test_names_are_those_of_transformers(asked, names, monkeypatch):
    where = "transformers.integrations.integration_utils.get_available_reporting_integrations"
    monkeypatch.setattr(where, lambda: ["tensorboard", "wandb"])
    assert trackers(asked) == names


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tensorbord", "unknown tracker 'tensorbord'; did you mean 'tensorboard'"),
        ("mlflow", "expected mlflow to be installed for --report-to mlflow, found none; pip install mlflow"),
    ],
)
def test_an_unknown_or_absent_tracker_is_told_before_anything_is_read(name, message, tmp_path, monkeypatch):
    monkeypatch.setattr("transformers.integrations.integration_utils.get_available_reporting_integrations", list)
    with pytest.raises(InputError, match=message):
        train("nothing", "bce", tmp_path / "o", data=TrainData(lists="x"), report_to=[name])


def test_each_model_of_a_study_has_its_own_folder_below_the_user_s(tmp_path, monkeypatch):
    import os

    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", "/logs")
    with tracking(["tensorboard"], Path("results/demo/micro-bert/bce/seed-12")):
        assert os.environ["TENSORBOARD_LOGGING_DIR"] == "/logs/micro-bert-bce-seed-12"
    assert os.environ["TENSORBOARD_LOGGING_DIR"] == "/logs"
