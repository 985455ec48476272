"""Compensation: what channels that go bring to their readers, taken over by the channels that stay."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from netsmith.contracts import Keep, Loss
from netsmith.edits.copying import copy_with
from netsmith.edits.records import records, remember
from netsmith.errors import EditError, NetsmithError
from netsmith.graph import Group, StructureGraph
from netsmith.scores.reads import Moments, moments
from netsmith.wrappers import network

METHOD = "compensation"


def compensate(
    model: nn.Module, graph: StructureGraph, keep: Keep, loss: Loss, *, ridge: float = 1e-6
) -> nn.Module:
    r"""Return a model of the same shape whose readers no longer need the channels that ``keep`` removes.

    At every weight W that reads a group, the channels that go are predicted from those that stay,
    :math:`z_j ≈ Σ_k A_{kj} z_k + c_j`, by least squares over the batch; then
    :math:`W_k ← W_k + W_j A_{kj}` at every tap, the bias takes :math:`W_j c_j` up, and :math:`W_j` is zero.
    Where the prediction is perfect the output stays the same. Without a bias there is no constant; where a
    convolution pads with zeros those count as data, on which a constant errs. One forward pass. From M. A.
    Shah, R. Olivier, B. Raj (2020), arXiv:2005.14070.

    Args:
        model: the model the graph was traced from; untouched. Its readers must be linear layers and
            convolutions; :func:`uncompensable` tells which groups have others.
        graph: its structure graph.
        keep: per group which channels stay.
        loss: ``model -> scalar`` on a batch of many samples; only its forward pass counts.
        ridge: of the regressions, in units of the mean variance of the channels; 0 for the plain
            pseudo-inverse. More of it makes smaller weights; with ``math.inf`` nothing is predicted from the
            others, and only what a channel brings on average goes to the bias.

    Returns:
        A copy, from which :func:`netsmith.edits.remove` takes the same channels without changing the output.

    Raises:
        EditError: ``keep`` does not fit the graph, or cuts a group whose readers cannot take it over.
        NetsmithError: no loss, a negative ``ridge``, or activations that are not finite.

    Example:
        >>> import netsmith as ns
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> x = torch.randn(64, 4)
        >>> keep = {"0.weight:0": torch.tensor([True, True, False])}
        >>> compensate(net, ns.trace(net, x), keep, lambda m: m(x).sum())[2].weight[:, 2].tolist()
        [0.0, 0.0]
    """
    if not ridge >= 0:
        raise NetsmithError(
            f"ridge={ridge} must be at least 0, in units of the mean variance of the channels"
        )
    model = network(model)
    graph.survivors(keep)
    cut = [graph.group(name) for name, stay in keep.items() if not bool(stay.all())]
    found = moments(model, loss, graph, METHOD)
    for group in cut:
        reason = _why_not(graph, group, found[group.name])
        if reason:
            raise EditError(f"group {group.name} cannot be compensated: {reason}; leave it out of keep")
    edited = copy_with(model, model.modules(), {})
    parameters = dict(edited.named_parameters())
    with torch.no_grad():
        for group in cut:
            stay = keep[group.name].detach().cpu().bool()
            for one in found[group.name]:
                _fold(parameters, one, stay, ridge)
    remember(edited, records(model), [])
    return edited


def uncompensable(model: nn.Module, graph: StructureGraph, loss: Loss) -> dict[str, str]:
    """Return the groups that :func:`compensate` refuses, and why. One forward pass.

    Raises:
        NetsmithError: no loss.
    """
    found = moments(network(model), loss, graph, METHOD)
    reasons = {group.name: _why_not(graph, group, found[group.name]) for group in graph.groups}
    return {name: reason for name, reason in reasons.items() if reason}


def _why_not(graph: StructureGraph, group: Group, several: list[Moments]) -> str:
    """Return what reads a group otherwise than by a weight of a linear layer or convolution, in words."""
    seen = {one.slice.tensor for one in several}
    for owned in group.slices:
        if owned.role == "in" and owned.tensor not in seen:
            return f"{owned.tensor} reads it, but is not the weight of a linear layer or convolution"
    for one in several:
        if len(torch.unique(one.slice.index)) != one.slice.index.numel():
            return f"{one.slice.tensor} reads several of its channels as one"
    if not several:
        return "no weight reads it"
    for operation in graph.operations:
        mine = seen.intersection(operation.parameters)
        if mine and operation.kind not in ("conv", "linear", "view"):
            return f"{min(mine)} is used by {operation.name}, too"
        axes = [read.axis for read in operation.reads if read.axis.owners]
        reads = any(np.isin(graph.owners(axis), group.channels).any() for axis in axes)
        if reads and (not mine or any(read.statistic for read in operation.reads)):
            return f"{operation.name} in module {operation.module or '(the model itself)'} reads it"
    shared = next((one.bias for one in several if one.bias and _elsewhere(graph, one)), None)
    if shared:
        return f"{shared} is used elsewhere, too"
    return ""


def _elsewhere(graph: StructureGraph, one: Moments) -> bool:
    """Whether the bias beside a weight is used in a module that does not use the weight."""
    by_weight = {op.module for op in graph.operations if one.slice.tensor in op.parameters}
    return not {op.module for op in graph.operations if one.bias in op.parameters} <= by_weight


def _predictions(covariance: Tensor, stay: Tensor, ridge: float) -> Tensor:
    """Return what predicts the channels that go from those that stay, ``[staying, going]``."""
    across = covariance[stay][:, ~stay]
    if math.isinf(ridge):
        return torch.zeros_like(across)
    scale = float(covariance.diagonal().mean())
    among = covariance[stay][:, stay] + ridge * scale * torch.eye(int(stay.sum()), dtype=torch.float64)
    # Channels that stay may depend on each other, or be dead; the shortest solution serves then.
    inverse: Tensor = torch.linalg.pinv(among, rtol=1e-12, hermitian=True)
    return inverse @ across


def _fold(parameters: dict[str, nn.Parameter], one: Moments, stay: Tensor, ridge: float) -> None:
    """Fold the channels that go into those that stay, in one reading weight and its bias."""
    covariance, mean = one.covariance, one.mean
    if not bool(torch.isfinite(covariance).all()):
        raise NetsmithError(f"what {one.slice.tensor} reads is not finite on this batch; check the inputs")
    predictions = _predictions(covariance, stay, ridge)
    constants = mean[~stay] - mean[stay] @ predictions
    weight = parameters[one.slice.tensor]
    moved = weight.movedim(1, 0)
    columns = moved[one.slice.index.to(weight.device)].double()
    predictions, constants = predictions.to(weight.device), constants.to(weight.device)
    gone = columns[~stay]
    if one.bias:
        bias = parameters[one.bias]
        shares = torch.tensordot(constants, gone.flatten(3).sum(-1) if gone.dim() > 3 else gone, dims=1)
        bias.copy_(bias.double() + shares.sum(0))
    columns[stay] += torch.tensordot(predictions, gone, dims=1)
    columns[~stay] = 0
    moved[one.slice.index.to(weight.device)] = columns.to(weight.dtype)
