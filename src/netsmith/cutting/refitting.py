"""What layers give, and refitting them to it by least squares, while a network runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from netsmith.scores.watching import Watch, each, padded


class Outputs(Watch):
    """Holds what each linear layer and ungrouped convolution of a network gives.

    Args:
        model: the network that will run.
        kept: by name of a parameter, which of its outputs to hold.
    """

    def __init__(self, model: nn.Module, kept: Mapping[str, Tensor]) -> None:
        parameters = dict(model.named_parameters())
        super().__init__(parameters)
        self._names = {id(parameter): name for name, parameter in parameters.items()}
        self._kept = kept
        self._uses = Counter[str]()
        self._found: dict[str, tuple[Tensor, str | None]] = {}

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = super().__torch_function__(function, types, args, kwargs)
        # Reading a weight's shape or device is no use of its values.
        if isinstance(output, Tensor):
            given = (*args, *(kwargs or {}).values())
            leaves = [leaf for one in given for leaf in (one if isinstance(one, list | tuple) else [one])]
            self._uses.update(self._names[id(leaf)] for leaf in leaves if id(leaf) in self._names)
        return output

    def gave(self, name: str, given: Mapping[str, Any], linear: bool, output: Tensor) -> None:
        """Hold the outputs that are kept, with the name of the bias beside the weight."""
        if given.get("groups", 1) == 1:
            axis = -1 if linear else 1 - given["weight"].dim()
            held = output.index_select(axis, self._kept[name].to(output.device))
            self._found[name] = (held, self._names.get(id(given.get("bias"))))

    def once(self) -> dict[str, Tensor]:
        """Return the outputs of the weights that, with their biases, were used once, and only there."""
        return {
            name: output
            for name, (output, bias) in self._found.items()
            if self._uses[name] == 1 and (bias is None or self._uses[bias] == 1)
        }


class Refit(Watch):
    """Refits each weight before it is used: see :func:`netsmith.cutting.reconstruct.reconstruct_`.

    Args:
        model: the network that will run; it is changed.
        targets: by name of a weight, what its layer is to give.
        ridge: pull towards the weight as it is, relative to the mean square of the inputs.
        rows: samples and positions that a layer is fitted on, at most.
        seed: where drawing them starts.
    """

    def __init__(
        self, model: nn.Module, targets: Mapping[str, Tensor], ridge: float, rows: int, seed: int
    ) -> None:
        weights = {name: one for name, one in model.named_parameters() if name in targets}
        super().__init__(weights)
        self.targets, self.ridge, self.rows = targets, ridge, rows
        self.generator = torch.Generator().manual_seed(seed)
        self.done: list[str] = []

    def seen(self, name: str, given: Mapping[str, Any], linear: bool) -> None:
        """Fit the weight to its target on what it is about to read."""
        windows, wanted = _by_row(given, self.targets[name], linear)
        if windows.shape[: wanted.dim() - 1] != wanted.shape[:-1]:
            return  # samples or positions of this layer are channels of another, and some went
        places = wanted.shape[:-1]
        where = torch.unravel_index(self._drawn(math.prod(places)).to(wanted.device), places)
        read, wanted = windows[where].flatten(1).double(), wanted[where].double()
        enough = self.ridge > 0 or len(read) > read.shape[1]
        if enough and _fit(read, wanted, given["weight"], given.get("bias"), self.ridge):
            self.done.append(name)

    def _drawn(self, count: int) -> Tensor:
        if count <= self.rows:
            return torch.arange(count)
        return torch.randint(count, (self.rows,), generator=self.generator)


def _by_row(given: Mapping[str, Any], target: Tensor, linear: bool) -> tuple[Tensor, Tensor]:
    """Return ``[*rows, *what is read]`` and ``[*rows, outputs]``: a row for each sample and position."""
    if linear:
        return given["input"], target
    target = target if target.dim() == given["weight"].dim() else target.unsqueeze(0)
    return _windows(given), target.movedim(1, -1)


def _fit(read: Tensor, wanted: Tensor, weight: Tensor, bias: Tensor | None, ridge: float) -> bool:
    """Set weight and bias to the least squares solution, and return whether there is a finite one."""
    before = weight.flatten(1).T.double()
    if bias is not None:
        read = torch.cat([read, read.new_ones(len(read), 1)], 1)
        before = torch.cat([before, bias[None].double()])
    gram = read.T @ read / len(read)
    pull = ridge * float(gram.diagonal().mean())
    among = gram + pull * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    error = read.T @ (wanted - read @ before) / len(read)
    if not bool(torch.isfinite(among).all() and torch.isfinite(error).all()):
        return False
    if ridge > 0:
        fitted = before + torch.linalg.solve(among, error)
    else:
        # Inputs may be dead or depend on each other: the shortest step serves then.
        fitted = before + torch.linalg.pinv(among, rtol=1e-12, hermitian=True) @ error
    count = weight[0].numel()
    weight.copy_(fitted[:count].T.reshape(weight.shape))
    if bias is not None:
        bias.copy_(fitted[count])
    return True


def _windows(given: Mapping[str, Any]) -> Tensor:
    """Return a view ``[samples, *positions, channels, *kernel]`` of what a convolution reads."""
    windows, extents = padded(given), given["weight"].shape[2:]
    stride, dilation = (each(given.get(key, 1), len(extents)) for key in ("stride", "dilation"))
    for axis, extent in enumerate(extents):
        span = dilation[axis] * (extent - 1) + 1
        windows = windows.unfold(2 + axis, span, stride[axis])[..., :: dilation[axis]]
    return windows.movedim(1, 1 + len(extents))
