"""Channel attention in a network that has none: after the last normalisation of every residual branch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from netsmith.contracts import Inputs
from netsmith.edits.kind import Kind
from netsmith.edits.records import Record
from netsmith.edits.same_function import evaluated
from netsmith.edits.substitution import carry_out, check_plain, module_at, names_below, put
from netsmith.errors import EditError
from netsmith.graph.branches import branch_ends
from netsmith.graph.flow import Flow, Value
from netsmith.graph.recording import flow_of
from netsmith.layers.vision import channel_attention
from netsmith.wrappers import unwrapped

Kernels = int | Sequence[int] | Callable[[int], int]


def attend(
    model: nn.Module,
    inputs: Inputs,
    *,
    kind: str = "eca",
    kernels: Kernels | None = None,
    after: str | Iterable[str] | None = None,
    seed: int = 0,
    inplace: bool = False,
) -> tuple[nn.Module, list[Record]]:
    """Put channel attention into a network (Wang et al. 2020, arXiv:1910.03151), to be trained afterwards.

    It follows the last normalisation of each residual branch, before the addition, as in ECA-Net. These
    places are found from the operators that run. The gates are near one half at first, so that the outputs
    change at once; how many parameters came is in the record.

    Args:
        model: any network that runs on ``inputs``; untouched unless ``inplace``.
        inputs: what the model is called with.
        kind: of :func:`netsmith.layers.channel_attention`.
        kernels: of kinds that have one: one for all, one per width in the order in which widths first come
            (``(3, 5, 5, 7)``), or a function of the channels; default by the paper's rule.
        after: instead, the modules that are followed, by path (shell patterns); each puts out maps.
        seed: of the new weights, so that a replay makes the same ones.
        inplace: edit ``model`` itself.

    Returns:
        The edited model, with an ``nn.Sequential`` of each module and its attention, and its records.

    Raises:
        EditError: no residual branch ends in a normalisation, no module fits ``after`` or one puts out no
            maps, kernels that do not fit, or the edited model does not run.
        NetsmithError: what the layer refuses: no such kind, an even kernel, ...

    Example:
        >>> import torch, netsmith as ns
        >>> net = ns.zoo.build("resnet20", classes=10, input_shape=(3, 32, 32))
        >>> ns.edits.describe(ns.edits.attend(net, torch.zeros(1, 3, 32, 32))[1][0])
        'eca after 9 modules, 27 parameters'
    """
    model = unwrapped(model)
    flow = flow_of(model, inputs)
    places = (
        branch_ends(flow) if after is None else _named(flow, [after] if isinstance(after, str) else after)
    )
    if not places:
        raise EditError(
            "no residual branch of maps was found that ends in a normalisation; name the modules that "
            "attention is to follow with after="
        )
    layers = {}
    for path, channels, kernel in _with_kernels(places, kernels):
        layer = channel_attention(kind, channels, kernel=kernel)
        count = sum(parameter.numel() for parameter in layer.parameters())
        layers[path] = {"channels": channels, "kernel": kernel, "parameters": count}
    renamed = {
        name: f"{path}.0{name[len(path) :]}"
        for path in places
        for name in names_below(path, module_at(model, path))
    }
    record = {"kind": "attend", "attention": kind, "layers": layers, "seed": seed, "renamed": renamed}
    edited, made = carry_out(model, record, apply_record, inplace=False)
    _check_runs(edited, inputs)
    return carry_out(model, record, apply_record, inplace=True) if inplace else (edited, made)


def _named(flow: Flow, patterns: Iterable[str]) -> dict[str, int]:
    """Return the modules whose paths fit patterns, with the channels of the maps they put out."""
    found: dict[str, int] = {}
    for pattern in patterns:
        paths = [path for path in flow.calls_of if path and fnmatchcase(path, pattern)]
        if not paths:
            raise EditError(f"no module that runs on these inputs has a path like {pattern!r}")
        for path in paths:
            results = [call.result for call in flow.calls_of[path]]
            if not all(isinstance(result, Value) and len(result.shape) == 4 for result in results):
                raise EditError(f"module {path!r} does not put out maps [batch, channels, height, width]")
            found[path] = results[0].shape[1]
    return found


def _with_kernels(places: dict[str, int], kernels: Kernels | None) -> Iterable[tuple[str, int, int | None]]:
    widths = list(dict.fromkeys(places.values()))
    if isinstance(kernels, Sequence) and len(kernels) != len(widths):
        raise EditError(
            f"{len(kernels)} kernels for {len(widths)} widths ({', '.join(map(str, widths))}); give one each"
        )
    for path, channels in places.items():
        if isinstance(kernels, Sequence):
            yield path, channels, int(kernels[widths.index(channels)])
        else:
            yield path, channels, kernels(channels) if callable(kernels) else kernels


def _check_runs(edited: nn.Module, inputs: Inputs) -> None:
    if any(parameter.is_meta for parameter in edited.parameters()):
        return
    try:
        evaluated(edited, inputs)
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        raise EditError(
            f"with attention the model does not run ({type(error).__name__}: {first}); the original is "
            "untouched. Its code probably reads weights of a module that is now the first of a Sequential: "
            "name other modules with after="
        ) from error


def apply_record(model: nn.Module, record: Record) -> None:
    """Insert the layers that a record describes."""
    like = next(iter(model.parameters()), torch.zeros(()))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(record["seed"])
        for path, made in record["layers"].items():
            module = module_at(model, path)
            check_plain(path, module)
            layer = channel_attention(record["attention"], made["channels"], kernel=made["kernel"])
            put(model, path, nn.Sequential(module, layer.to(like.device, like.dtype)))


def invert_record(model: nn.Module, record: Record, before: nn.Module | None) -> None:
    """Take the layers out again, whatever they have learnt."""
    for path in record["layers"]:
        pair: Any = module_at(model, path)
        if not isinstance(pair, nn.Sequential) or len(pair) != 2:
            raise EditError(f"module {path!r} is not what attend made of it")
        put(model, path, pair[0])


def describe_record(record: Record) -> str:
    """Return one line that says what was done."""
    layers = record["layers"].values()
    count = sum(layer["parameters"] for layer in layers)
    return f"{record['attention']} after {len(layers)} modules, {count} parameters"


KIND = Kind(apply_record, invert_record, describe_record)
