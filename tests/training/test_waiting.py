import pytest
import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

from cedistill.training import waiting
from cedistill.training.waiting import Waiting


def test_share_by_hand(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(waiting.time, "monotonic", lambda: clock[0])
    one, logs = Waiting(), {"loss": 1.0}

    def at(seconds, event, **keywords):
        clock[0] = seconds
        getattr(one, event)(None, None, None, **keywords)

    at(0, "on_train_begin")
    at(50, "on_step_begin")  # the start of the workers is left out
    at(53, "on_step_end")
    at(54, "on_step_begin")
    at(60, "on_step_end")
    at(61, "on_log", logs=logs)
    assert logs["waiting"] == pytest.approx(0.1)  # 1 of 3 + 1 + 6
    at(70, "on_evaluate")
    at(75, "on_save")
    at(78, "on_step_begin")
    at(79, "on_step_end")
    assert one.share() == pytest.approx(0.75)  # 3 of 3 + 1
    validation = {"eval_ndcg@10": 1.0}
    at(80, "on_log", logs=validation)
    assert "waiting" not in validation


class Slow(torch.utils.data.Dataset):
    def __len__(self):
        return 12

    def __getitem__(self, place):
        waiting.time.sleep(0.02)
        return {"x": torch.ones(1)}


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x):
        return {"loss": (self.weight * x).sum()}


class Keep(TrainerCallback):
    def __init__(self):
        self.shares = []

    def on_log(self, args, state, control, logs=None, **others):
        if "loss" in logs:
            self.shares.append(logs["waiting"])


def test_a_slow_source_shows_in_the_log(tmp_path):
    keep = Keep()
    arguments = TrainingArguments(
        str(tmp_path), max_steps=6, per_device_train_batch_size=2, logging_steps=3, report_to="none", disable_tqdm=True
    )
    Trainer(Model(), arguments, train_dataset=Slow(), callbacks=[Waiting(), keep]).train()
    assert len(keep.shares) == 2
    assert all(0.5 < share <= 1 for share in keep.shares)
