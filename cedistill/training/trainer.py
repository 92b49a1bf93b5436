"""The trainer of lists: transformers' Trainer with our lists, forward and backward pass, loss and validation."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import Trainer

from cedistill import processes
from cedistill.losses.arguments import check_finite, targets_checked
from cedistill.model.forward import chunk_logits
from cedistill.model.precision import autocast
from cedistill.training.exchange import gather_lists, sum_gradients
from cedistill.training.gradient_cache import backward
from cedistill.training.loading import as_tensors, make_loader
from cedistill.training.trained_loss import TrainedLoss, load_loss, optimise_too, packed, save_loss, unpacked

Loss = Callable[..., Tensor]
_EACH = ("teachers", "teacher_mask")


class Step(NamedTuple):
    """What a step consists of: its lists over all processes, their longest; what fits in memory, what runs at once."""

    lists: int
    list_size: int
    graph_tokens: int
    weighted: bool = False
    lanes: int = 1


class ListTrainer(Trainer):
    """Trainer of lists (``ListBatch``); optimiser, schedule, clipping, checkpoints and resuming are Trainer's.

    ``validation`` returns figures of the model as it stands, by name; they are logged as ``eval_NAME``. On several
    processes each scores its share of a step's lists, and all make the step that one process would make.
    """

    def __init__(
        self,
        *,
        loss: Loss,
        precision: str,
        step: Step,
        validation: Callable[[], dict[str, float]] | None,
        compiled: Callable[..., Any] | None = None,
        **trainer: Any,
    ) -> None:
        """Take the loss, the precision, the shape of a step and the validation besides what Trainer takes.

        ``compiled`` is what scores the pairs of a step in place of the model.
        """
        self.loss, self.precision, self.step, self.validation = loss, precision, step, validation
        self.compiled = compiled
        self.pairs_seen = 0
        super().__init__(**trainer)
        # Not wrapped for several processes: gradients are summed here, once a step, however many chunks it took.
        self.accelerator.prepare_model = functools.partial(self.accelerator.prepare_model, evaluation_mode=True)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """Score the pairs chunk by chunk, put them into lists, apply the loss in float32, leave its gradient."""
        model, device = self.model, self.args.device
        assert model is not None
        model.train()
        batch = as_tensors(inputs, pinned=device.type == "cuda")
        check_finite("targets", batch["targets"])
        places = as_tensors(batch["mask"].flatten().nonzero().squeeze(1).numpy(), pinned=device.type == "cuda")
        places, targets, mask = (one.to(device, non_blocking=True) for one in (places, batch["targets"], batch["mask"]))
        own = isinstance(self.loss, TrainedLoss)
        batch = packed(batch) if own else batch
        weights = batch["weights"].to(device) if self.step.weighted and not own else None
        teachers, teacher_mask = (batch[name].to(device) if name in batch else None for name in _EACH)
        self.pairs_seen += len(places)

        def loss_of(flat: Tensor) -> Tensor:
            scores = flat.new_zeros(mask.numel()).scatter(0, places, flat).view(mask.shape)
            with targets_checked():
                shape = self.step.lists, self.step.list_size
                step = gather_lists(scores, targets, mask, *shape, teachers, teacher_mask, weights)
                names = (*(_EACH if teachers is not None else ()), *(("weights",) if weights is not None else ()))
                each: dict[str, Any] = dict(zip(names, step[3:], strict=True))
                if own:
                    each = unpacked(each) | {"step": self.state.global_step, "steps": self.state.max_steps}
                return self.loss(*step[:3], **each)

        context = functools.partial(autocast, self.precision, device)
        score = functools.partial(chunk_logits, model if self.compiled is None else self.compiled)
        parameters = [one for one in model.parameters() if one.requires_grad]
        memory, lanes = self.step.graph_tokens, self.step.lanes
        loss = backward(score, batch["pairs"], loss_of, memory, context, lanes=lanes, parameters=parameters)
        sum_gradients(model.parameters())
        return loss

    def create_optimizer(self, model: Any = None) -> Any:
        """Make the optimiser, of the loss's own parameters too."""
        made = self.optimizer is None
        optimizer = super().create_optimizer(model)
        if made and isinstance(self.loss, TrainedLoss):
            self.loss.to(self.args.device)
            optimise_too(optimizer, self.loss)
        return optimizer

    def log(self, logs: dict[str, Any], start_time: float | None = None) -> None:
        """Log, with what the loss says of itself."""
        if "loss" in logs and isinstance(self.loss, TrainedLoss):
            logs = logs | self.loss.figures()
        super().log(logs, start_time)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict)
        if output_dir and isinstance(self.loss, TrainedLoss):
            save_loss(self.loss, Path(output_dir))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        if isinstance(self.loss, TrainedLoss):
            load_loss(self.loss, Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        super()._load_best_model()
        if isinstance(self.loss, TrainedLoss) and self.state.best_model_checkpoint:
            load_loss(self.loss, Path(self.state.best_model_checkpoint))

    def evaluate(self, *args: Any, **keywords: Any) -> dict[str, float]:
        """Validate the model as it stands."""
        if self.validation is None:
            return {}
        figures = {f"eval_{name}": value for name, value in self.validation().items()}
        self.log(dict(figures))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, figures)
        return figures

    def get_train_dataloader(self) -> DataLoader:
        """Return the loader of this process's lists.

        The order is in the lists themselves: list i of a seed is the same for any number of workers and processes.
        """
        collate: Any = self.data_collator
        return make_loader(self.train_dataset, self.step.lists, collate, self.args.dataloader_num_workers)

    def floating_point_ops(self, inputs: Any) -> int:
        """Return 0: Trainer's estimate knows nothing of chunks."""
        return 0

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        processes.wait()  # what is written next marks the checkpoint as whole

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        processes.wait()  # nobody reads it before it is


def set_random_state(seed: int) -> None:
    """Give each process its own dropout; the first one's is that of a run with one process."""
    if not processes.is_first():
        torch.manual_seed(seed + 1_000_003 * processes.number())
