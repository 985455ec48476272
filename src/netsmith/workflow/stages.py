"""Training in named stages: one data order, one purse of epochs, one folder of checkpoints each."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netsmith.errors import TrainingError
from netsmith.targets.distillation import BatchLoss, Distillation
from netsmith.tasks.batches import size_of
from netsmith.workflow.measure import macs

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netsmith.contracts import Inputs
    from netsmith.tasks.task import Task
    from netsmith.train import History
    from netsmith.training.batches import Data


RECALIBRATED = 50
"""Batches that batch-norm statistics are estimated from after a cut."""


@dataclass(kw_only=True)
class Stages:
    """:func:`netsmith.train.fit` with a task bound, called once per stage.

    Args:
        task: data, augmentation, loss and metric.
        inputs: example inputs, to know what a network costs while it trains.
        epochs: passes over the data that all stages together may make.
        dense_macs: MACs of the network before the cut; the progress shows the share that is left.
        teacher: a network whose outputs are targets beside the labels, if any.
        folder: checkpoints go to ``folder/<stage>``; none are kept if it is None.
        resume: go on from checkpoints found there.
    """

    task: Task
    inputs: Inputs
    epochs: int
    seed: int
    dense_macs: float
    teacher: nn.Module | None = None
    folder: Path | None = None
    resume: bool = False
    device: str | torch.device | None = None
    progress: bool = True
    history: list[dict[str, Any]] = field(default_factory=list)
    """One entry per epoch, with its stage."""
    reached: dict[str, float] = field(default_factory=dict)
    """Accuracy at the start and at the end of each stage, and after batch norms were estimated anew."""
    _macs: float | None = None

    def fit(
        self, model: nn.Module, *, epochs: int, stage: str, data: Data | None = None, **settings: Any
    ) -> History:
        """Train ``model`` in place for one stage and add its epochs to ``history``.

        ``data`` takes the place of the task's training data: the same samples in another form.

        Raises:
            TrainingError: the stages together ask for more epochs than granted, or a stage name comes twice.
        """
        from netsmith.train import fit

        self._charge(epochs, stage)
        if settings.get("learning_rate") is None:
            settings["learning_rate"] = self.task.defaults.learning_rate
        bound: dict[str, Any] = {
            "loss": self._loss(),
            "augment": self.task.augment,
            "evaluate": self.task.evaluate,
            "batch_size": self.task.defaults.batch_size or batch_size(size_of(self.task.train)),
            "watch": self._watch(model),
            "seed": self.seed,
            "device": self.device,
            "progress": self.progress,
            "out": None if self.folder is None else self.folder / stage,
            "resume": self.resume,
        }
        self.reached[f"{stage}, start"] = self.task.evaluate(model)
        self._recalibrate(model, stage)
        train = self.task.train if data is None else data
        history = fit(model, train, epochs=epochs, **(bound | settings))
        self.reached[stage] = self.task.evaluate(model)
        self.history.extend({"stage": stage, **epoch} for epoch in history.epochs)
        return history

    def finish(self, model: nn.Module) -> None:
        """Note how accurate the finished network is, with batch norms estimated anew if it was cut last."""
        self.reached["the end"] = self.task.evaluate(model)
        self._recalibrate(model, "the end")

    def _recalibrate(self, model: nn.Module, stage: str) -> None:
        """Estimate batch norms anew, in place, where the network was cut since it was last seen.

        Means and variances that channels gathered from inputs which are gone are wrong, and cheap to get
        right; fine-tuning then starts, and an untrained cut is judged, without that handicap.
        """
        from torch.nn.modules.batchnorm import _BatchNorm

        from netsmith.training.recalibrate import recalibrate

        before = self.dense_macs if self._macs is None else self._macs
        self._macs = macs(model, self.inputs)
        norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]
        if self._macs < before and norms:
            size = self.task.defaults.batch_size or batch_size(size_of(self.task.train))
            recalibrate(model, self.task.train, RECALIBRATED, batch_size=size, seed=self.seed)
            self.reached[f"{stage}, recalibrated"] = self.task.evaluate(model)

    def _loss(self) -> BatchLoss:
        if self.teacher is None:
            return self.task.batch_loss
        return Distillation(self.teacher, loss=self.task.loss)

    def _charge(self, epochs: int, stage: str) -> None:
        if stage in self.reached:
            raise TrainingError(
                f"stage {stage!r} was trained already; give each call of fit its own stage name"
            )
        used = len(self.history)
        if used + epochs > self.epochs:
            raise TrainingError(
                f"stage {stage!r} asks for {epochs} epochs, {used} of the {self.epochs} granted are used; "
                "share out job.epochs between the stages"
            )

    def _watch(self, model: nn.Module) -> Any:
        # A stage keeps the shape of its network, so one count serves all its epochs.
        share = {"macs": macs(model, self.inputs) / self.dense_macs}
        return lambda _: share


def batch_size(samples: int) -> int:
    """Return 128, or for small data the power of two that still gives about thirty steps per epoch."""
    size = 16
    while size < 128 and samples // (size * 2) >= 30:
        size *= 2
    return size
