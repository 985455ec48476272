"""Sizes that modules keep beside their weights, brought in line with them.

``torch.nn`` modules remember the sizes they were made with, and some use them in the forward pass
(``groups``, ``normalized_shape``). Their new values follow from the new shapes, or from the integer that the
module handed to an operator while it was traced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from operator import attrgetter
from typing import Any

from numpy.typing import NDArray
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from netsmith.edits.held import held
from netsmith.errors import EditError
from netsmith.graph import Operation, StructureGraph
from netsmith.graph.axes import Dim
from netsmith.graph.size_solving import solve_for
from netsmith.graph.sizes import Attribute, Requirement, attributes_in, evaluate


def mended(
    modules: Mapping[str, nn.Module],
    graph: StructureGraph,
    alive: NDArray[Any],
    changed: Mapping[str, tuple[int, ...]],
) -> dict[str, dict[str, Any]]:
    """Return, per module path, the attributes that must change with the new shapes.

    ``alive`` says per channel whether it stays, or how many there will be of it.
    """
    by_module: dict[str, Operation] = {}
    for ran in graph.operations:
        if ran.constants or ran.widths:
            by_module.setdefault(ran.module, ran)
    found = _required(modules, graph, alive)
    for path, module in modules.items():
        operation = by_module.get(path)
        widths = {k: graph.width(d, alive) for k, d in operation.widths.items()} if operation else {}
        constants = {k: graph.width(d, alive) for k, d in operation.constants.items()} if operation else {}
        constants |= found.get(path, {})
        new = _attributes(module, _Shapes(module, path, changed), widths, constants)
        different = {name: value for name, value in new.items() if getattr(module, name, None) != value}
        if different:
            found.setdefault(path, {}).update(different)
    return found


def _required(
    modules: Mapping[str, nn.Module], graph: StructureGraph, alive: NDArray[Any]
) -> dict[str, dict[str, Any]]:
    """Solve for the attributes of the user's own modules that sizes in the forward pass were derived from.

    An attribute that is a size itself is the width it sizes; any other is tried with every value that one of
    the sizes derived from it asks for. All of the sizes must come out right.

    Raises:
        EditError: no value of an attribute fits all its uses, or a size that follows from others does not.
    """

    def width(dim: Dim) -> int:
        return graph.width(dim, alive)

    used: dict[Attribute, list[Requirement]] = {}
    for requirement in graph.requirements:
        for attribute in sorted(attributes_in(requirement.source), key=str):
            used.setdefault(attribute, []).append(requirement)
    now = {attribute: attribute.value for attribute in used}
    sized = {r.source: width(r.axis) for r in graph.requirements if isinstance(r.source, Attribute)}
    values: dict[Attribute, int] = {**now, **sized}

    def fitting(attribute: Attribute, value: int) -> tuple[int, int]:
        trial = {**values, attribute: value}
        fits = [r.source for r in used[attribute] if evaluate(r.source, width, trial) == width(r.axis)]
        # What hangs on no other attribute says more: the others may not have their new values yet.
        return sum(attributes_in(source) == {attribute} for source in fits), len(fits)

    derived = {attribute: requirements for attribute, requirements in used.items() if attribute not in sized}
    before: dict[Attribute, int] = {}
    for _ in range(len(derived)):
        if values == before:
            break
        before = dict(values)
        for attribute, requirements in derived.items():
            asked = [solve_for(attribute, r.source, width(r.axis), width, values) for r in requirements]
            candidates = [values[attribute], *(value for value in asked if value is not None)]
            values[attribute] = max(candidates, key=partial(fitting, attribute))
    for requirement in graph.requirements:
        if evaluate(requirement.source, width, values) != width(requirement.axis):
            names = ", ".join(str(attribute) for attribute in attributes_in(requirement.source))
            raise EditError(
                f"the code of module {requirement.module or '(the model)'} computes a size "
                f"{'from ' + names if names else ''} that cannot become {width(requirement.axis)}; protect it"
            )
    _keep_apart(graph, width, now, values)
    found: dict[str, dict[str, Any]] = {}
    for attribute, value in values.items():
        if value != attribute.value:
            new = found.setdefault(attribute.module, {})
            if attribute.position is None:
                new[attribute.name] = value
            else:
                items = new.setdefault(attribute.name, list(held(modules[attribute.module], attribute.name)))
                items[attribute.position] = value
    return found


def _keep_apart(
    graph: StructureGraph,
    width: Callable[[Dim], int],
    used: Mapping[Attribute, int],
    values: dict[Attribute, int],
) -> None:
    """Move attributes that only serve to be compared, so that sizes the code found different stay so."""
    for pair in graph.apart:
        for attribute in attributes_in(pair[0]) | attributes_in(pair[1]):
            values.setdefault(attribute, attribute.value)
        for one, other in (pair, pair[::-1]):
            if isinstance(one, Attribute) and one not in used:
                before = evaluate(other, attrgetter("size"), {a: a.value for a in attributes_in(other)})
                values[one] = evaluate(other, width, values) + one.value - before
                break


class _Shapes:
    """The shapes a module's own tensors will have; empty where it has no such tensor."""

    def __init__(self, module: nn.Module, path: str, changed: Mapping[str, tuple[int, ...]]) -> None:
        self._module = module
        self._prefix = f"{path}." if path else ""
        self._changed = changed

    def __call__(self, name: str) -> tuple[int, ...]:
        tensor = getattr(self._module, name, None)
        if tensor is None:
            return ()
        return self._changed.get(self._prefix + name, tuple(tensor.shape))


def _attributes(
    module: nn.Module, shape: _Shapes, widths: dict[str, int], constants: dict[str, int]
) -> dict[str, Any]:
    """Return the values the size attributes of a ``torch.nn`` module should have."""
    if isinstance(module, _ConvNd):
        groups = constants.get("groups", module.groups)
        weight = shape("weight")
        own = (
            (weight[1] * groups, weight[0])
            if not isinstance(module, _ConvTransposeNd)
            else (weight[0], weight[1] * groups)
        )
        return {
            "in_channels": widths.get("in", own[0]),
            "out_channels": widths.get("out", own[1]),
            "groups": groups,
        }
    if isinstance(module, nn.Linear):
        weight = shape("weight")
        return {"in_features": widths.get("in", weight[1]), "out_features": widths.get("out", weight[0])}
    if isinstance(module, _NormBase):
        vector = shape("weight") or shape("running_mean")
        return {"num_features": vector[0]} if vector else {}
    if isinstance(module, nn.GroupNorm):
        vector = shape("weight")
        channels = vector[0] if vector else module.num_channels
        return {"num_groups": constants.get("groups", module.num_groups), "num_channels": channels}
    if isinstance(module, (nn.LayerNorm, nn.RMSNorm)):
        positions = range(len(module.normalized_shape))
        weight = shape("weight")
        traced = tuple(constants.get(f"normalized_shape.{i}", module.normalized_shape[i]) for i in positions)
        return {"normalized_shape": weight or traced}
    if isinstance(module, nn.PReLU):
        return {"num_parameters": shape("weight")[0]}
    if isinstance(module, nn.Bilinear):
        out, first, second = shape("weight")
        return {"in1_features": first, "in2_features": second, "out_features": out}
    if isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        weight = shape("weight")
        return {"num_embeddings": weight[0], "embedding_dim": weight[1]}
    if isinstance(module, nn.MultiheadAttention):
        return _attention_attributes(module, shape, constants.get("num_heads", module.num_heads))
    if isinstance(module, nn.RNNBase):
        projection = shape("weight_hr_l0")
        return {
            "input_size": shape("weight_ih_l0")[1],
            "hidden_size": projection[1] if projection else shape("weight_hh_l0")[1],
            "proj_size": projection[0] if projection else 0,
        }
    if isinstance(module, nn.RNNCellBase):
        return {"input_size": shape("weight_ih")[1], "hidden_size": shape("weight_hh")[1]}
    return {}


def _attention_attributes(module: nn.MultiheadAttention, shape: _Shapes, heads: int) -> dict[str, Any]:
    """Return the sizes of an attention; its heads follow from the forward pass, its scale stays."""
    names = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
    if all(getattr(module, name) is None or shape(name) == getattr(module, name).shape for name in names):
        return {}
    scale = getattr(module, "scale", None) or (module.num_heads / module.embed_dim) ** 0.5
    fused = shape("in_proj_weight")
    rows = fused[0] // 3 if fused else shape("q_proj_weight")[0]
    return {
        "embed_dim": (fused or shape("q_proj_weight"))[1],
        "head_dim": rows // heads,
        "kdim": (fused or shape("k_proj_weight"))[1],
        "vdim": (fused or shape("v_proj_weight"))[1],
        "scale": scale,
        "_qkv_same_embed_dim": False,  # keeps PyTorch's encoder layers off the kernel that cannot do this
    }
