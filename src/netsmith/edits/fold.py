"""Folding: normalisations and gains with constant factors go into the layer before them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from netsmith.contracts import Inputs
from netsmith.edits.affine_calls import NORMS, affine_source, scale_and_shift
from netsmith.edits.copying import copy_with
from netsmith.edits.kind import Kind
from netsmith.edits.producers import Producer, looked_at, producer_of
from netsmith.edits.records import Record, records, remember
from netsmith.edits.same_function import check_same
from netsmith.edits.substitution import (
    bring_back,
    carry_out,
    double,
    give,
    module_at,
    names_below,
    parameter_like,
    put,
)  # fmt: skip
from netsmith.errors import EditError
from netsmith.graph.anatomy import Anatomy
from netsmith.graph.flow import Flow, ModuleCall
from netsmith.graph.recording import flow_of
from netsmith.wrappers import unwrapped


def fold(model: nn.Module, inputs: Inputs, *, inplace: bool = False) -> tuple[nn.Module, list[Record]]:
    """Fold batch norms and constant gains and offsets into the convolution or linear layer before each.

    For ``y = s · (W x + b) + t`` per channel, the layer becomes ``W' = s W``, ``b' = s b + t`` (Jacob et al.
    2018, arXiv:1712.05877, section 3.2) and the module that scaled becomes ``nn.Identity``. Which layers meet
    is read off the operators that run on ``inputs``: nothing else may read what lies between them, and the
    weight may serve nobody else. The output in evaluation mode stays the same to rounding; what training
    would do changes, since the statistics of a batch no longer take part.

    Args:
        model: any module; untouched unless ``inplace``.
        inputs: what the model is called with.
        inplace: edit ``model`` itself.

    Returns:
        The edited model and its records; ``"skipped"`` of the record says why the others stayed. Where
        nothing can be folded the model is as it was, without a record.

    Raises:
        EditError: the output differs.
        TraceError: the model does not run on the inputs.

    Example:
        >>> import torch, netsmith as ns
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, bias=False), torch.nn.BatchNorm2d(8)).eval()
        >>> ns.edits.fold(net, torch.zeros(1, 3, 8, 8))[0]
        Sequential(
          (0): Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))
          (1): Identity()
        )
    """
    model = unwrapped(model)
    trial = copy_with(model, model.modules(), {})
    folds: list[dict[str, Any]] = []
    while True:  # what was folded may let the next one reach a layer
        found, skipped = _found(trial, inputs)
        if not found:
            break
        for one in found:
            _fold_one(trial, one)
        folds += found
    if not folds:
        remember(trial, records(model), [])
        return (model if inplace else trial), []
    check_same(model, trial, inputs)
    paths = [one["module"] for one in folds]
    gone: dict[str, list[str]] = {n: [] for path in paths for n in names_below(path, module_at(model, path))}
    record = {"kind": "fold", "folds": folds, "skipped": skipped, "replaced": gone}
    return carry_out(model, record, apply_record, inplace=inplace)


def _found(model: nn.Module, inputs: Inputs) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return the folds that can be made at once, and why other candidates cannot."""
    flow, anatomy = flow_of(model, inputs), Anatomy.of(model)
    folds: list[dict[str, Any]] = []
    skipped: dict[str, str] = {}
    taken: set[str] = set()
    for path, calls in reversed(flow.calls_of.items()):  # what lies inside comes before what is around it
        norm = any(step.name in NORMS for call in calls for step in flow.inside(call))
        if not path or any(other.startswith(f"{path}.") for other in (*taken, *skipped)):
            continue
        source = affine_source(flow, calls[0])
        if source is None and not (norm and not list(anatomy.modules[path].children())):
            continue
        result = _plan(flow, anatomy, path, calls)
        if isinstance(result, str):
            skipped[path] = result
        elif result["weight"] not in taken:
            taken.update((path, result["weight"]))
            folds.append(result)
    return folds[::-1], skipped


def _plan(flow: Flow, anatomy: Anatomy, path: str, calls: list[ModuleCall]) -> dict[str, Any] | str:
    module = anatomy.modules[path]
    source = affine_source(flow, calls[0])
    if source is None:
        return "it does more than scale and shift, or takes its statistics from the batch"
    if len(calls) != 1:
        return f"it is called {len(calls)} times"
    if parametrize.is_parametrized(module) or module._forward_hooks or module._forward_pre_hooks:
        return "it has hooks or parametrizations"
    own = {f"{path}.{name}" for name, _ in (*module.named_parameters(), *module.named_buffers())}
    inside = flow.inside(calls[0])
    for number, name in flow.leaves.items():
        if name in own and any(step not in inside for step in flow.readers.get(number, [])):
            return f"{name} is read elsewhere"
    producer = producer_of(flow, anatomy, source)
    if isinstance(producer, str):
        return producer
    reason = looked_at(flow, anatomy, producer.passed)
    if reason or anatomy.modules[producer.weight.rpartition(".")[0]]._forward_pre_hooks:
        return reason or "the layer before it has hooks"
    shape = [1] * len(source.shape)
    shape[producer.channels] = source.shape[producer.channels]
    return _entry(anatomy, path, producer, shape)


def _entry(anatomy: Anatomy, path: str, producer: Producer, shape: list[int]) -> dict[str, Any] | str:
    weight = anatomy.parameters[producer.weight]
    same = weight.shape[producer.dim] * producer.groups == shape[producer.channels]
    if not same or scale_and_shift(anatomy.modules[path], shape) is None:
        return "its factors differ along other dimensions than the channels of the layer before"
    return {
        "module": path,
        "weight": producer.weight,
        "bias": producer.bias,
        "dim": producer.dim,
        "groups": producer.groups,
        "shape": shape,
    }


def apply_record(model: nn.Module, record: Record) -> None:
    """Fold what a record names, with the values that stand in the model."""
    for one in record["folds"]:
        _fold_one(model, one)


def _fold_one(model: nn.Module, one: dict[str, Any]) -> None:
    path, _, name = one["weight"].rpartition(".")
    layer: Any = model.get_submodule(path)
    factors = scale_and_shift(module_at(model, one["module"]), list(one["shape"]))
    if factors is None:
        raise EditError(
            f"module {one['module']!r} is not what was folded; the record was made on another model"
        )
    scale, shift = factors
    weight = getattr(layer, name)
    if one["bias"]:
        owner = model.get_submodule(one["bias"].rpartition(".")[0])
        last = one["bias"].rpartition(".")[2]
        give(owner, last, double(getattr(owner, last)) * scale + shift)
    else:
        layer.bias = parameter_like(shift, weight)
    give(layer, name, _scaled(double(weight), scale, one["dim"], one["groups"]))
    put(model, one["module"], nn.Identity())


def _scaled(weight: Tensor, scale: Tensor, dim: int, groups: int) -> Tensor:
    """Multiply the channels that a weight makes; those of groups lie side by side in its first dimension."""
    shape = [1] * weight.dim()
    shape[dim] = -1
    pairs = zip(weight.chunk(groups), scale.chunk(groups), strict=True)
    return torch.cat([part * factors.reshape(shape) for part, factors in pairs])


def invert_record(model: nn.Module, record: Record, before: nn.Module | None) -> None:
    """Put the folded modules, and the weights they went into, back as they were."""
    bring_back(model, before, [one["module"] for one in record["folds"]])
    for one in record["folds"]:
        for name in (one["weight"], one["bias"]):
            if name:
                path, _, last = name.rpartition(".")
                assert before is not None
                give(model.get_submodule(path), last, before.get_parameter(name).clone())
        if not one["bias"]:
            layer: Any = model.get_submodule(one["weight"].rpartition(".")[0])
            layer.bias = None


def describe_record(record: Record) -> str:
    """Return one line that says what was done."""
    return f"fold {len(record['folds'])} modules into the layers before them"


KIND = Kind(apply_record, invert_record, describe_record)
