"""Knowledge distillation: a small network learns what a large one says."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netsmith.calling import call
from netsmith.cards import card
from netsmith.errors import NetsmithError

if TYPE_CHECKING:
    from netsmith.targets.structured_transfer import StructuredTransfer

BatchLoss = Callable[[nn.Module, Any], Tensor]


def soft_cross_entropy(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return ``T² KL(softmax(teacher / T) ‖ softmax(logits / T))``, the mean over all but the last dimension.

    >>> logits = torch.tensor([[1.0, 2.0, 3.0]])
    >>> float(soft_cross_entropy(logits, logits + 5, temperature=4.0).abs() < 1e-6)
    1.0
    """
    student, target = (
        F.log_softmax(tensor.flatten(0, -2) / temperature, dim=-1) for tensor in (logits, teacher)
    )
    return F.kl_div(student, target, reduction="batchmean", log_target=True) * temperature**2


@card(
    title="Distilling the knowledge in a neural network",
    paper="arXiv:1503.02531",
    venue="NIPS 2014 Deep Learning Workshop",
)
class Distillation:
    """A loss ``(model, batch) -> scalar`` in which a teacher's softened outputs stand beside the labels.

    ``(1 - share) loss(logits, labels) + share T² KL(teacher ‖ model)``, both at temperature T (Hinton,
    Vinyals & Dean 2015). It goes wherever a loss goes: into :func:`netsmith.train.fit`, a recipe's
    ``job.fit``, or a loop of your own. The teacher is copied as it is now, and runs in evaluation mode
    without gradients.

    Args:
        teacher: a trained network that takes the same inputs.
        loss: ``(logits, labels) -> scalar``.
        temperature: what logits are divided by, above 0.
        share: of the teacher's targets in the loss, 0 to 1.

    Raises:
        NetsmithError: a temperature or share out of range; in a call, outputs that do not fit, or a teacher
            that is the model itself.
    """

    def __init__(
        self,
        teacher: nn.Module,
        *,
        loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
        temperature: float = 4.0,
        share: float = 0.9,
    ) -> None:
        if not temperature > 0 or not 0 <= share <= 1:
            raise NetsmithError(
                f"temperature={temperature} and share={share}: expected a temperature above 0 and a share "
                "between 0 and 1"
            )
        self.teacher = frozen_copy(teacher)
        self.loss = loss
        self.temperature = temperature
        self.share = share

    def __call__(self, model: nn.Module, batch: Any) -> Tensor:
        """Return the loss of ``model`` on a batch of (inputs, labels)."""
        inputs, labels = batch
        logits = call(model, inputs)
        target = teachers_output(self.teacher, inputs, logits)
        soft = soft_cross_entropy(logits, target, self.temperature)
        return (1 - self.share) * self.loss(logits, labels) + self.share * soft


def distill(
    teacher: nn.Module,
    student: nn.Module | None = None,
    *,
    inputs: Any = None,
    taps: Mapping[str, str] | None = None,
    **settings: Any,
) -> Distillation | StructuredTransfer:
    """Return a loss ``(model, batch) -> scalar`` in which a teacher teaches, for any loop and any method.

    Without ``taps`` the teacher's outputs teach (:class:`netsmith.targets.Distillation`); with taps its
    features do as well (:class:`netsmith.targets.StructuredTransfer`).

    Args:
        teacher: a trained network; it is copied.
        student: with taps, the network that will learn.
        inputs: with taps, example inputs of both.
        taps: module path in the student -> module path in the teacher, whose outputs are compared.
        settings: those of the loss.

    Raises:
        NetsmithError: taps without student and inputs, or what the loss itself refuses.

    Example:
        >>> import torch, netsmith as ns
        >>> teacher, student = torch.nn.Linear(4, 3), torch.nn.Linear(4, 3)
        >>> loss = ns.distill(teacher, temperature=2.0)
        >>> loss(student, (torch.zeros(5, 4), torch.zeros(5, dtype=torch.int64))).shape
        torch.Size([])
    """
    if taps is None:
        return Distillation(teacher, **settings)
    if student is None or inputs is None:
        raise NetsmithError("taps compare features: give distill the student and example inputs as well")
    from netsmith.targets.structured_transfer import StructuredTransfer

    return StructuredTransfer(teacher, student, inputs, taps=taps, **settings)


def frozen_copy(teacher: nn.Module) -> nn.Module:
    """Return a copy of a teacher in evaluation mode whose weights want no gradient."""
    return copy.deepcopy(teacher).eval().requires_grad_(False)


def teachers_output(teacher: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    """Return what a teacher makes of inputs, checked against the shape of the student's output.

    Raises:
        NetsmithError: the shapes differ.
    """
    teacher.to(output.device)  # a copy of ours: it goes where the student is
    with torch.no_grad():
        target = call(teacher, inputs)
    if not isinstance(target, Tensor) or target.shape != output.shape:
        found = tuple(target.shape) if isinstance(target, Tensor) else type(target).__name__
        raise NetsmithError(
            f"the teacher's output {found} does not fit the student's {tuple(output.shape)}; both must "
            "answer the same question"
        )
    return target
