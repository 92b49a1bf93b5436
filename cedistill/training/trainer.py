"""The trainer of lists: transformers' Trainer with our lists, forward pass, loss and validation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import SequentialSampler
from transformers import Trainer

from cedistill.model.forward import logits
from cedistill.model.precision import autocast
from cedistill.training.trained_loss import TrainedLoss, load_loss, optimise_too, save_loss

Loss = Callable[..., Tensor]


class ListTrainer(Trainer):
    """Trainer of lists (``ListBatch``); optimiser, schedule, clipping, checkpoints and resuming are Trainer's.

    ``validation`` returns figures of the model as it stands, by name; they are logged as ``eval_NAME``.
    """

    def __init__(
        self, *, loss: Loss, precision: str, validation: Callable[[], dict[str, float]] | None, **trainer: Any
    ) -> None:
        """Take the loss and the validation besides what Trainer takes."""
        self.loss, self.precision, self.validation = loss, precision, validation
        self.pairs_seen = 0
        super().__init__(**trainer)
        self.loss_is_scaled_for_ga = False  # our losses are means over a batch

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Score the pairs of a ``ListBatch`` chunk by chunk, put them back into lists, apply the loss in float32."""
        mask = inputs["mask"]
        with autocast(self.precision, self.args.device):
            flat = logits(model, inputs["pairs"])
        scores = flat.new_zeros(mask.shape).masked_scatter(mask, flat)
        self.pairs_seen += len(flat)
        each = {name: inputs[name] for name in ("teachers", "teacher_mask") if name in inputs}
        if isinstance(self.loss, TrainedLoss):
            each |= {name: inputs[name] for name in ("labels", "weights")}
            each |= {"step": self.state.global_step, "steps": self.state.max_steps}
        loss = self.loss(scores, inputs["targets"], mask, **each)
        return (loss, scores) if return_outputs else loss

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

    def floating_point_ops(self, inputs: Any) -> int:
        """Return 0: Trainer's estimate knows nothing of chunks."""
        return 0

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        # The order is in the lists themselves: list i of a seed is the same for any number of workers and processes.
        return SequentialSampler(train_dataset if train_dataset is not None else self.train_dataset)  # type: ignore[arg-type]
