"""Torch-Pruning on a network nobody prepared for it, as its own documentation says to use it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from netsmith.graph.running import call_arguments


def halve_with_torch_pruning(model: nn.Module, inputs: Any) -> str:
    """Halve a network in place; "yes" when parameters went and it runs with outputs of the same shapes."""
    import torch_pruning as tp

    args, kwargs = call_arguments(inputs)
    last, shapes = _output_layers(model, args, kwargs)
    before = sum(parameter.numel() for parameter in model.parameters())
    pruner = tp.pruner.BasePruner(
        model,
        kwargs or (args if len(args) > 1 else args[0]),
        importance=tp.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=0.5,
        ignored_layers=last,
    )
    pruner.step()
    if sum(parameter.numel() for parameter in model.parameters()) >= before:
        return "nothing was removed"
    with torch.no_grad():
        output = model(*args, **kwargs)
    if _shapes(output) != shapes:
        return "the output has another shape"
    return "yes"


def _output_layers(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[list[nn.Module], list[tuple[int, ...]]]:
    """Return the layers that make the outputs (the last one where none does directly), and their shapes."""
    made: dict[int, tuple[nn.Module, Tensor]] = {}
    layers = [m for m in model.modules() if isinstance(m, (nn.Linear, nn.modules.conv._ConvNd))]
    order: list[nn.Module] = []

    def note(module: nn.Module, _: Any, output: Tensor) -> None:
        made[id(output)] = (module, output)
        order.append(module)

    hooks = [layer.register_forward_hook(note) for layer in layers]
    with torch.no_grad():
        output = model(*args, **kwargs)
    for hook in hooks:
        hook.remove()
    found = [made[id(leaf)][0] for leaf in tree_leaves(output) if id(leaf) in made]
    return found or order[-1:], _shapes(output)


def _shapes(output: Any) -> list[tuple[int, ...]]:
    return [tuple(leaf.shape) for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
