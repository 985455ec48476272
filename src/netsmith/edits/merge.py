"""Merging: two linear layers with nothing between them are one."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from netsmith.contracts import Inputs
from netsmith.edits.copying import copy_with
from netsmith.edits.kind import Kind
from netsmith.edits.layer_products import product_of
from netsmith.edits.producers import looked_at
from netsmith.edits.records import Record, records, remember
from netsmith.edits.same_function import check_same
from netsmith.edits.substitution import (
    bring_back,
    carry_out,
    check_plain,
    check_unshared,
    module_at,
    put,
)  # fmt: skip
from netsmith.errors import EditError
from netsmith.graph.anatomy import Anatomy
from netsmith.graph.flow import Flow, Value
from netsmith.graph.recording import flow_of
from netsmith.wrappers import unwrapped


def merge(
    model: nn.Module, inputs: Inputs, *, force: bool = False, inplace: bool = False
) -> tuple[nn.Module, list[Record]]:
    """Merge linear layers, and convolutions of which one has a kernel of 1, that follow on each other.

    ``W2 (W1 x + b1) + b2`` becomes one layer with ``W2 W1`` and ``W2 b1 + b2`` in the place of the first; the
    second becomes ``nn.Identity``. Nothing may stand or read between the two, on the operators that run on
    ``inputs``. A kernel of 1 may come first only where the second does not pad, or the first has no bias:
    padding puts zeros where the first layer would have put its bias.

    Args:
        model: any module; untouched unless ``inplace``.
        inputs: what the model is called with.
        force: also where the result has more parameters, as with a bottleneck between two wide layers.
        inplace: edit ``model`` itself.

    Returns:
        The edited model and its records; without a record where nothing can be merged.

    Raises:
        EditError: the output differs.
        TraceError: the model does not run on the inputs.

    Example:
        >>> import torch, netsmith as ns
        >>> net = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.Linear(64, 4))
        >>> ns.edits.merge(net, torch.zeros(1, 8))[0]
        Sequential(
          (0): Linear(in_features=8, out_features=4, bias=True)
          (1): Identity()
        )
    """
    model = unwrapped(model)
    trial = copy_with(model, model.modules(), {})
    pairs: list[list[str]] = []
    while (pair := _next_pair(trial, inputs, force)) is not None:
        _merge_one(trial, *pair)
        pairs.append(list(pair))
    if not pairs:
        remember(trial, records(model), [])
        return (model if inplace else trial), []
    check_same(model, trial, inputs)
    record = {"kind": "merge", "pairs": pairs, "replaced": _replaced(model, trial, pairs)}
    return carry_out(model, record, apply_record, inplace=inplace)


def _replaced(model: nn.Module, merged: nn.Module, pairs: list[list[str]]) -> dict[str, list[str]]:
    """Return which parameters went, and which stand in the place of those of the first layers."""
    names = dict(merged.named_parameters())
    gone: dict[str, list[str]] = {}
    for path in dict.fromkeys(path for pair in pairs for path in pair):
        for name, _ in module_at(model, path).named_parameters():
            gone[f"{path}.{name}"] = [n for n in (f"{path}.{name}",) if n in names]
    return gone


def _next_pair(model: nn.Module, inputs: Inputs, force: bool) -> tuple[str, str] | None:
    flow, anatomy = flow_of(model, inputs), Anatomy.of(model)
    made_by: dict[int, str] = {}
    for path, calls in flow.calls_of.items():
        if len(calls) != 1 or not _mergeable(model, path, anatomy.modules[path]):
            continue
        call = calls[0]
        source = call.arguments[0] if len(call.arguments) == 1 and not call.keywords else None
        first = made_by.get(source.number) if isinstance(source, Value) else None
        if first is not None and isinstance(source, Value):
            two = anatomy.modules[first], anatomy.modules[path]
            one = product_of(*two) if _alone(flow, anatomy, source, path) else None
            if one is not None and (force or _count(one) < sum(map(_count, two))):
                return first, path
        if isinstance(call.result, Value):
            made_by[call.result.number] = path
    return None


def _mergeable(model: nn.Module, path: str, module: nn.Module) -> bool:
    forward = type(module).forward
    if forward is not nn.Linear.forward and not (
        isinstance(module, _ConvNd) and not isinstance(module, _ConvTransposeNd) and forward in CONVOLUTIONS
    ):
        return False
    try:
        check_plain(path, module)
        check_unshared(model, path, module)
    except EditError:
        return False
    return bool(path)


CONVOLUTIONS = (nn.Conv1d.forward, nn.Conv2d.forward, nn.Conv3d.forward)


def _alone(flow: Flow, anatomy: Anatomy, value: Value, reader: str) -> bool:
    """Whether only one module's call reads a value, and nothing looks at it or acts on it in training."""
    call = flow.calls_of[reader][0]
    steps = flow.readers.get(value.number, [])
    outside = any(not call.start <= step.index < call.stop for step in steps)
    seen = value.number in flow.outputs or looked_at(flow, anatomy, frozenset({value.number}))
    return not outside and not seen


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def apply_record(model: nn.Module, record: Record) -> None:
    """Merge the pairs that a record names, with the values that stand in the model."""
    for first, second in record["pairs"]:
        _merge_one(model, first, second)


def _merge_one(model: nn.Module, first: str, second: str) -> None:
    one = product_of(module_at(model, first), module_at(model, second))
    if one is None:
        raise EditError(f"modules {first!r} and {second!r} do not make one; the record is of another model")
    put(model, first, one)
    put(model, second, nn.Identity())


def invert_record(model: nn.Module, record: Record, before: nn.Module | None) -> None:
    """Put the layers back as they were."""
    bring_back(model, before, dict.fromkeys(path for pair in record["pairs"] for path in pair))


def describe_record(record: Record) -> str:
    """Return one line that says what was done."""
    return f"merge {', '.join(f'{second} into {first}' for first, second in record['pairs'])}"


KIND = Kind(apply_record, invert_record, describe_record)
