"""Growing deeper: a layer or a residual block that does nothing yet."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from netsmith.contracts import Inputs
from netsmith.edits.kind import Kind
from netsmith.edits.records import Record
from netsmith.edits.same_function import check_same
from netsmith.edits.substitution import carry_out, module_at, names_below, put
from netsmith.errors import EditError
from netsmith.graph.flow import Value
from netsmith.graph.ranges import ranges_of
from netsmith.graph.recording import flow_of
from netsmith.graph.traced_attributes import is_torch_module
from netsmith.layers.residual import Residual
from netsmith.wrappers import unwrapped

Style = Literal["identity", "residual"]
LAYERS: dict[str, Any] = {"linear": nn.Linear, "conv1d": nn.Conv1d, "conv2d": nn.Conv2d, "conv3d": nn.Conv3d}
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def deepen(
    model: nn.Module,
    after: str,
    inputs: Inputs | None = None,
    *,
    style: Style = "identity",
    kernel: int = 3,
    hidden: int | None = None,
    seed: int = 0,
    inplace: bool = False,
) -> tuple[nn.Module, list[Record]]:
    """Insert a layer after a module, made so that the model computes what it did before.

    - ``"identity"`` (Net2DeeperNet; Chen et al. 2016, arXiv:1511.05641): a linear layer or a convolution
      whose weight is the identity, followed by a ReLU where the module's output is proven not to be negative
      (by the operators that ran on ``inputs``; without them, where the module ends in a ReLU).
    - ``"residual"``: ``x + last(relu(first(x)))`` with a last layer of zeros, which preserves any function
      and trains like any other residual block (Goyal et al. 2017, arXiv:1706.02677, section 5.1).

    Args:
        model: any module; untouched unless ``inplace``.
        after: path of a module that puts out one tensor, and is called with one.
        inputs: what the model is called with: the new layer's kind and width are then read off what runs, and
            the output is compared before and after.
        style: which of the two.
        kernel: extent of a new convolution, odd.
        hidden: channels between the layers of a residual block; default as many as come in.
        seed: of the first layer of a residual block, so that a replay makes the same one.
        inplace: edit ``model`` itself.

    Returns:
        The edited model, with an ``nn.Sequential`` of the module and what follows it, and its records.

    Raises:
        EditError: no such module, its output is no single tensor of known width, or the result differs.

    Example:
        >>> import torch, netsmith as ns
        >>> net = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.ReLU(), torch.nn.Linear(6, 4))
        >>> ns.edits.deepen(net, "1", torch.zeros(1, 8))[0][1][1]
        Sequential(
          (0): Linear(in_features=6, out_features=6, bias=True)
          (1): ReLU()
        )
    """
    model = unwrapped(model)
    module = module_at(model, after)
    if style not in ("identity", "residual"):
        raise EditError(f"style={style!r} is not known; give 'identity' or 'residual'")
    if kernel < 1 or kernel % 2 == 0:
        raise EditError(f"kernel={kernel} must be an odd number of at least 1")
    if hidden is not None and hidden < 1:
        raise EditError(f"hidden={hidden} must be at least 1")
    layer, width, positive = _described(module) if inputs is None else _seen(model, after, inputs)
    record = {
        "kind": "deepen",
        "after": after,
        "style": style,
        "layer": layer,
        "width": width,
        "hidden": hidden or width,
        "kernel": kernel,
        "relu": positive,
        "seed": seed,
        "renamed": {name: f"{after}.0{name[len(after) :]}" for name in names_below(after, module)},
    }
    edited, made = carry_out(model, record, apply_record, inplace=False)
    if inputs is not None:
        check_same(model, edited, inputs)
    return carry_out(model, record, apply_record, inplace=True) if inplace else (edited, made)


def apply_record(model: nn.Module, record: Record) -> None:
    """Insert what a record describes."""
    like = next(iter(model.parameters()), torch.zeros(()))
    block = _block(record).to(like.device, like.dtype)
    put(model, record["after"], nn.Sequential(module_at(model, record["after"]), block))


def invert_record(model: nn.Module, record: Record, before: nn.Module | None) -> None:
    """Take the inserted layer out again, whatever it has learnt."""
    pair = module_at(model, record["after"])
    if not isinstance(pair, nn.Sequential) or len(pair) != 2:
        raise EditError(f"module {record['after']!r} is not what deepen made of it")
    put(model, record["after"], pair[0])


def describe_record(record: Record) -> str:
    """Return one line that says what was done."""
    return f"deepen after {record['after']}: {record['style']} {record['layer']} of width {record['width']}"


KIND = Kind(apply_record, invert_record, describe_record)


def _block(record: Record) -> nn.Module:
    kind, width, hidden, kernel = (record[key] for key in ("layer", "width", "hidden", "kernel"))
    shape: dict[str, Any] = {} if kind == "linear" else {"kernel_size": kernel, "padding": kernel // 2}
    make = LAYERS[kind]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(record["seed"])
        if record["style"] == "residual":
            first, last = make(width, hidden, **shape), make(hidden, width, **shape)
            last.weight.zero_()
            last.bias.zero_()
            return Residual(nn.Sequential(first, nn.ReLU(), last))
        layer = make(width, width, **shape)
        (nn.init.eye_ if kind == "linear" else nn.init.dirac_)(layer.weight)
        layer.bias.zero_()
    return nn.Sequential(layer, nn.ReLU()) if record["relu"] else layer


def _described(module: nn.Module) -> tuple[str, int, bool]:
    """Return the kind of layer, the width and whether a ReLU may follow, from the modules alone."""
    known = all(is_torch_module(part) for part in module.modules())
    found = _last_width(module) if known else None
    if found is None:
        raise EditError(f"the width of what a {type(module).__name__} puts out is only known with inputs")
    last = list(module.modules())[-1]
    return (*found, isinstance(last, (nn.ReLU, nn.ReLU6)))


def _last_width(module: nn.Module) -> tuple[str, int] | None:
    found: tuple[str, int] | None = None
    for part in module.modules():
        if isinstance(part, _ConvNd):
            found = (f"conv{len(part.kernel_size)}d", part.out_channels)
        elif isinstance(part, nn.Linear):
            found = ("linear", part.out_features)
        elif isinstance(part, NORMS) and found is None:
            found = (f"conv{NORMS.index(type(part)) + 1}d", part.num_features)
        elif isinstance(part, nn.LayerNorm):
            found = ("linear", part.normalized_shape[-1])
    return found


def _seen(model: nn.Module, path: str, inputs: Inputs) -> tuple[str, int, bool]:
    """The same, from what the module puts out."""
    flow = flow_of(model, inputs)
    calls = flow.calls_of.get(path, [])
    if not calls:
        raise EditError(f"module {path!r} is never called on these inputs")
    if any(len(call.arguments) != 1 or call.keywords for call in calls):
        raise EditError(f"module {path!r} is not called with one argument; deepen after a module inside it")
    results = [call.result for call in calls]
    if not all(isinstance(result, Value) and result.dtype.is_floating_point for result in results):
        raise EditError(f"module {path!r} does not put out one tensor; deepen after a module inside it")
    range_of = ranges_of(flow)
    positive = all(range_of(result).low >= 0 for result in results)
    layer, width = _fitting(module_at(model, path), results[0].shape)
    return layer, width, positive


def _fitting(module: nn.Module, shape: tuple[int, ...]) -> tuple[str, int]:
    found = _last_width(module)
    if found is not None:
        layer, width = found
        dims = 0 if layer == "linear" else int(layer[4])
        if (shape[-1] if layer == "linear" else shape[1] if len(shape) == dims + 2 else 0) == width:
            return found
    if len(shape) in (2, 3):
        return "linear", shape[-1]
    if len(shape) in (4, 5):
        return f"conv{len(shape) - 2}d", shape[1]
    raise EditError(f"an output of shape {shape} has no channels that a layer could follow")
