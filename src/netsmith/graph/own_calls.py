"""Applying a user's own rules while a model is traced, and checking what they return."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from netsmith.errors import TraceError
from netsmith.graph.axes import Axes, Dim
from netsmith.graph.operation import Operation
from netsmith.graph.own_rules import OwnRule, OwnRules
from netsmith.graph.rule_call import RuleCall
from netsmith.graph.tracer import Call, Tracer


class RuleError(TraceError):
    """A rule of the user's own raised, or returned what does not fit the output."""


def own_operators(own: OwnRules) -> dict[str, Callable[[Tracer, Call], Any]]:
    """Return the rules for operators in the form the tracer calls them."""
    return {name: partial(_operator_rule, function) for name, function in own.operators.items()}


def _operator_rule(function: OwnRule, tracer: Tracer, call: Call) -> Any:
    schema = call.function._schema
    arguments = {one.name: one.default_value for one in schema.arguments if one.has_default_value()}
    arguments.update(zip((one.name for one in schema.arguments), call.args, strict=False))
    arguments.update(call.kwargs)
    call.operation.own = schema.name
    axes = _applied(function, tracer, call, arguments, None)
    return axes[0] if isinstance(call.output, Tensor) else axes


@contextmanager
def opaque_modules(modules: Iterable[nn.Module], own: OwnRules, run: Callable[..., Any]) -> Iterator[None]:
    """Have modules with a rule run by ``run(module, forward, args, kwargs)`` for a while."""
    patched: list[tuple[nn.Module, Any]] = []
    try:
        for module in modules:
            if own.of_module(module) is not None:
                patched.append((module, module.__dict__.get("forward")))
                module.__dict__["forward"] = partial(_call, run, module, module.forward)
        yield
    finally:
        for module, before in patched:
            del module.__dict__["forward"]
            if before is not None:
                module.__dict__["forward"] = before


def _call(run: Callable[..., Any], module: nn.Module, forward: Any, /, *args: Any, **kwargs: Any) -> Any:
    return run(module, forward, args, kwargs)


def trace_opaque(
    tracer: Tracer, module: nn.Module, forward: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """Run a module unseen and let its rule say what its outputs own."""
    function = tracer.own.of_module(module)
    if function is None or not tracer.watching:
        return forward(*args, **kwargs)
    with tracer.unseen():
        output = forward(*args, **kwargs)
    operation = Operation(len(tracer.operations), opaque_name(module), tracer.current_module)
    operation.own = type(module).__name__
    tensors = opaque_tensors(module, args, kwargs)
    tracer.note(operation, tensors)
    arguments = inspect.signature(forward).bind(*args, **kwargs).arguments
    call = Call(module, args, dict(kwargs), output, operation, tensors)
    operation.outputs = tuple(_applied(function, tracer, call, arguments, module))
    for tensor, axes in zip(_tensors(output), operation.outputs, strict=True):
        if all(tensor is not one for one in tensors):
            tracer.assign(tensor, axes)
    tracer.operations.append(operation)
    return output


def opaque_name(module: nn.Module) -> str:
    """Return the name under which a module's call stands among the operators."""
    return f"module.{type(module).__name__}"


def opaque_tensors(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Tensor]:
    """Return the tensors a module's call depends on: those it is given, then its own."""
    return [*_tensors((args, dict(kwargs))), *module.parameters(), *module.buffers()]


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def _applied(
    function: OwnRule, tracer: Tracer, call: Call, arguments: dict[str, Any], module: nn.Module | None
) -> list[Axes]:
    """Return the checked axes of every output tensor."""
    label = f"the rule for {call.operation.own}"
    seen = RuleCall(tracer, call, arguments, module, tracer.current_module)
    try:
        result = function(seen)
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        raise RuleError(f"{label} raised {type(error).__name__}: {first}") from error
    outputs = _tensors(call.output)
    axes = _listed(result, label, len(outputs))
    for tensor, dims in zip(outputs, axes, strict=True):
        _check(tensor, dims, label)
    seen.freeze_unmentioned(axes, f"{label} says nothing of it")
    plain = all(dim.leaf is not None for one in call.operation.inputs for dim in one)
    return axes if plain else [tuple(dim.without_leaf() for dim in one) for one in axes]


def _listed(result: Any, label: str, count: int) -> list[Axes]:
    """Return one tuple of dimensions per output; a single output may be given bare."""
    if count == 1 and isinstance(result, tuple) and all(isinstance(item, Dim) for item in result):
        return [result]
    axes = list(result) if isinstance(result, (list, tuple)) else []
    if len(axes) != count or not all(
        isinstance(one, tuple) and all(isinstance(dim, Dim) for dim in one) for one in axes
    ):
        raise RuleError(
            f"{label} returned {type(result).__name__} {result!r}; expected a tuple of dimensions for each "
            f"of {count} output tensors"
        )
    return axes


def _check(tensor: Tensor, dims: Axes, label: str) -> None:
    sizes = tuple(dim.size for dim in dims)
    if sizes != tuple(tensor.shape):
        raise RuleError(
            f"{label} returned {len(sizes)} dimensions of sizes {sizes} for an output of shape "
            f"{tuple(tensor.shape)}"
        )
