"""Reconstruction: refit every layer of a cut network so that it gives what the uncut one gives."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from netsmith.contracts import Loss
from netsmith.edits.records import records
from netsmith.errors import EditError, NetsmithError
from netsmith.scores.elements import forward
from netsmith.wrappers import network

CONVOLUTIONS = (torch.conv1d, torch.conv2d, torch.conv3d)
METHOD = "reconstruction"
ORDER = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")


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
        The names of the weights that were refitted. One that is used more than once in a pass is not, nor
        one with fewer rows than inputs where there is no ridge.

    Raises:
        EditError: ``smaller`` was not made from ``model`` by removing.
        NetsmithError: no loss, or settings out of range.
    """
    if not ridge >= 0 or rows < 1:
        raise NetsmithError(f"ridge={ridge} must be at least 0, and rows={rows} at least 1")
    smaller, model = network(smaller), network(model)
    kept = _kept(smaller, model)
    with _Outputs(model, kept) as outputs:
        forward(model, loss, METHOD)
    with _Refit(smaller, outputs.once(), ridge, rows, seed) as refit:
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


class _Calls(TorchFunctionMode):
    """Sees every linear layer and ungrouped convolution by a parameter of a network."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.names = {id(parameter): name for name, parameter in model.named_parameters()}

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function is F.linear or function in CONVOLUTIONS:
            given = dict(zip(ORDER, args, strict=False)) | kwargs
            name = self.names.get(id(given["weight"]))
            if name is not None and given.get("groups", 1) == 1:
                return self.called(name, function, given)
        return function(*args, **kwargs)

    def called(self, name: str, function: Any, given: Mapping[str, Any]) -> Tensor:
        raise NotImplementedError


class _Outputs(_Calls):
    """Holds what each weight gives, at the channels that are kept."""

    def __init__(self, model: nn.Module, kept: Mapping[str, Tensor]) -> None:
        super().__init__(model)
        self.kept = kept
        self.uses = Counter[str]()
        self.found: dict[str, Tensor] = {}

    def called(self, name: str, function: Any, given: Mapping[str, Any]) -> Tensor:
        output: Tensor = function(**given)
        self.uses[name] += 1
        axis = -1 if function is F.linear else 1 - given["weight"].dim()
        self.found[name] = output.index_select(axis, self.kept[name].to(output.device))
        return output

    def once(self) -> dict[str, Tensor]:
        """Return the outputs of the weights that were used once."""
        return {name: output for name, output in self.found.items() if self.uses[name] == 1}


class _Refit(_Calls):
    """Refits each weight when it is called, before the call."""

    def __init__(
        self, model: nn.Module, targets: Mapping[str, Tensor], ridge: float, rows: int, seed: int
    ) -> None:
        super().__init__(model)
        self.targets, self.ridge, self.rows = targets, ridge, rows
        self.generator = torch.Generator().manual_seed(seed)
        self.done: list[str] = []

    def called(self, name: str, function: Any, given: Mapping[str, Any]) -> Tensor:
        target = self.targets.get(name)
        if target is not None and name not in self.done:
            read, wanted = self._rows(function, given, target)
            if self.ridge > 0 or len(read) > read.shape[1]:
                self._fit(read, wanted, given["weight"], given.get("bias"))
                self.done.append(name)
        output: Tensor = function(**given)
        return output

    def _rows(self, function: Any, given: Mapping[str, Any], target: Tensor) -> tuple[Tensor, Tensor]:
        """Return inputs and wanted outputs of a layer, a row for each sample and position."""
        read: Tensor = given["input"]
        if function is F.linear:
            windows, wanted = read.flatten(0, -2), target.flatten(0, -2)
            chosen = self._drawn(len(windows)).to(read.device)
            return windows[chosen].double(), wanted[chosen].double()
        if read.dim() < given["weight"].dim():
            read, target = read.unsqueeze(0), target.unsqueeze(0)
        windows = _windows(read, given).movedim(1, target.dim() - 1)
        wanted = target.movedim(1, -1)
        places = wanted.shape[:-1]
        where = torch.unravel_index(self._drawn(math.prod(places)).to(read.device), places)
        return windows[where].flatten(1).double(), wanted[where].double()

    def _drawn(self, count: int) -> Tensor:
        if count <= self.rows:
            return torch.arange(count)
        return torch.randint(count, (self.rows,), generator=self.generator)

    def _fit(self, read: Tensor, wanted: Tensor, weight: Tensor, bias: Tensor | None) -> None:
        before = weight.flatten(1).T.double()
        if bias is not None:
            read = torch.cat([read, read.new_ones(len(read), 1)], 1)
            before = torch.cat([before, bias[None].double()])
        gram = read.T @ read / len(read)
        pull = self.ridge * float(gram.diagonal().mean())
        among = gram + pull * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        error = read.T @ (wanted - read @ before) / len(read)
        fitted = before + torch.linalg.lstsq(among, error).solution
        if not bool(torch.isfinite(fitted).all()):
            return
        count = weight[0].numel()
        weight.copy_(fitted[:count].T.reshape(weight.shape))
        if bias is not None:
            bias.copy_(fitted[count])


def _windows(read: Tensor, given: Mapping[str, Any]) -> Tensor:
    """Return a view ``[samples, channels, *positions, *kernel]`` of what a convolution reads."""
    extents = given["weight"].shape[2:]
    count = len(extents)
    stride, dilation = _each(given.get("stride", 1), count), _each(given.get("dilation", 1), count)
    padding = given.get("padding", 0)
    sides: list[int] = []
    for axis in reversed(range(count)):
        both = dilation[axis] * (extents[axis] - 1)
        if padding == "same":
            sides += [both // 2, both - both // 2]
        else:
            sides += [0 if padding == "valid" else _each(padding, count)[axis]] * 2
    windows = F.pad(read, sides)
    for axis, extent in enumerate(extents):
        span = dilation[axis] * (extent - 1) + 1
        windows = windows.unfold(2 + axis, span, stride[axis])[..., :: dilation[axis]]
    return windows


def _each(value: Any, count: int) -> list[int]:
    return [value] * count if isinstance(value, int) else [*value] * (count // len(value))
