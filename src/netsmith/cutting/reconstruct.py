"""Reconstruction: refit every layer of a cut network so that it gives what the uncut one gives."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from netsmith.contracts import Loss
from netsmith.cutting.refitting import Outputs, Refit
from netsmith.edits.records import records
from netsmith.errors import EditError, NetsmithError
from netsmith.scores.elements import forward
from netsmith.wrappers import network

METHOD = "reconstruction"


@torch.no_grad()
def reconstruct_(
    smaller: nn.Module,
    model: nn.Module,
    loss: Loss,
    *,
    ridge: float = 1e-3,
    rows: int = 50_000,
    seed: int = 0,
) -> list[str]:
    r"""Refit, in place, the weights of a cut network by least squares against the uncut one's outputs.

    For every linear layer and ungrouped convolution of ``smaller``, in the order in which they run, its
    weight W and bias become the minimum of

    .. math:: \|x W - y\|^2 / n + \lambda \|W - W_0\|^2

    where x is what the layer reads in the network whose earlier layers are refitted already, y what the layer
    of ``model`` gives on the same batch at the channels that were kept, n the number of rows, :math:`W_0` the
    weight as it was cut and :math:`\lambda` = ``ridge`` times the mean square of the inputs. One forward pass
    of each network; the outputs of ``model`` at the kept channels are held in memory meanwhile. Batch norms
    keep their statistics: estimate them anew with :func:`netsmith.train.recalibrate`.

    The reconstruction of Y. He, X. Zhang, J. Sun, "Channel Pruning for Accelerating Very Deep Neural
    Networks" (2017), arXiv:1707.06168, with the errors of earlier layers seen by later ones; what they add up
    to in a residual stream is not corrected.

    Args:
        smaller: the network that was cut from ``model``; :func:`netsmith.records` says how.
        model: the network before the cut; untouched.
        loss: ``model -> scalar`` on one batch, the same for both; only its forward pass counts.
        ridge: pull towards the weights as cut, at least 0.
        rows: positions that a layer is fitted on, drawn at random if it has more.
        seed: where the draws start.

    Returns:
        The names of the weights that were refitted. One that is used more than once in a pass (or whose bias
        is), or otherwise too, is not; nor one that runs once for each channel of a group that was cut, as
        a mixing of positions does; nor one with fewer rows than inputs where there is no ridge.

    Raises:
        EditError: ``smaller`` was not made from ``model`` by removing.
        NetsmithError: no loss, or settings out of range.
    """
    if not ridge >= 0 or rows < 1:
        raise NetsmithError(f"ridge={ridge} must be at least 0, and rows={rows} at least 1")
    smaller, model = network(smaller), network(model)
    kept = _kept(smaller, model)
    with Outputs(model, kept) as outputs:
        forward(model, loss, METHOD)
    with Refit(smaller, outputs.once(), ridge, rows, seed) as refit:
        forward(smaller, loss, METHOD)
    done: list[str] = refit.done
    return done


def _kept(smaller: nn.Module, model: nn.Module) -> dict[str, Tensor]:
    """Return, per parameter of the smaller network, which outputs of the model's it has."""
    past, now = records(model), records(smaller)
    if now[: len(past)] != past:
        raise EditError(
            "the smaller network was not cut from this model: its records do not start with the model's"
        )
    sizes = {name: parameter.shape for name, parameter in model.named_parameters()}
    kept = {name: torch.arange(size[0]) for name, size in sizes.items() if size}
    for record in now[len(past) :]:
        for name, dims in record.get("tensors", {}).items():
            if name in kept and "0" in dims:
                kept[name] = kept[name][torch.tensor(dims["0"])]
    for name, parameter in smaller.named_parameters():
        if name in kept and len(kept[name]) != len(parameter):
            raise EditError(
                f"{name} has {len(parameter)} outputs and its records leave {len(kept[name])}; reconstruct "
                "right after the channels were removed, from the network they were removed from"
            )
    return kept
