"""Rules of the user's own: for a custom operator, or for a module whose inside is not traced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import nn
from torch.nn.utils.parametrize import type_before_parametrizations

from netsmith.errors import TraceError

Target = Any
"""What a rule is for: ``"namespace::name"``, an operator of ``torch.ops``, or a subclass of ``nn.Module``."""
OwnRule = Callable[[Any], Any]
Function = TypeVar("Function", bound=OwnRule)


@dataclass(frozen=True)
class OwnRules:
    """Rules by operator name (as :func:`netsmith.graph.tracer.operator_name` has it) and by module class."""

    operators: Mapping[str, OwnRule]
    modules: Mapping[type[nn.Module], OwnRule]

    def of_module(self, module: nn.Module) -> OwnRule | None:
        """Return the rule for a module's own class; what inherits from it needs a rule of its own."""
        return self.modules.get(type_before_parametrizations(module)) if self.modules else None


# A rule states a fact about an operator or a class. Both are known to the whole process, and every verb that
# traces has to know the rule: it is registered beside them, as torch.library does with an operator's parts.
_operators: dict[str, OwnRule] = {}
_modules: dict[type[nn.Module], OwnRule] = {}


def rule(target: Target) -> Callable[[Function], Function]:
    """Register how an operator or a module of your own treats channels; a decorator.

    The function gets one :class:`netsmith.graph.RuleCall` and returns the dimensions of the output: a tuple
    with one ``Dim`` per dimension, or a list of such tuples for several outputs. Whatever it does not mention
    stays as it is. It is used by every verb from then on; a second rule for the same target takes the place
    of the first, and ``ns.trace(..., rules={target: function})`` takes precedence for one call.

    Args:
        target: an operator, by name (``"mylib::scale"``) or as ``torch.ops.mylib.scale``; or a subclass of
            ``nn.Module``, whose inside is then not looked at.

    Raises:
        TraceError: the target is neither.

    Example:
        >>> import torch, netsmith as ns
        >>> @torch.library.custom_op("docs::scale", mutates_args=())
        ... def scale(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        ...     return x * weight
        >>> @ns.graph.rule("docs::scale")
        ... def scale_rule(call):
        ...     call.equate(call.axes("x")[-1], call.axes("weight")[0])
        ...     return call.axes("x")
    """
    operators, modules = _sorted({target: None})

    def register(function: Function) -> Function:
        _operators.update(dict.fromkeys(operators, function))
        _modules.update(dict.fromkeys(modules, function))
        return function

    return register


def own_rules(given: Mapping[Target, OwnRule] | None = None) -> OwnRules:
    """Return the registered rules, with those given for one call before them.

    Raises:
        TraceError: a key is neither an operator nor a module class.
    """
    operators, modules = _sorted(given or {})
    return OwnRules({**_operators, **operators}, {**_modules, **modules})


def _sorted(given: Mapping[Target, Any]) -> tuple[dict[str, Any], dict[type[nn.Module], Any]]:
    operators: dict[str, Any] = {}
    modules: dict[type[nn.Module], Any] = {}
    for target, function in given.items():
        if isinstance(target, type) and issubclass(target, nn.Module):
            modules[target] = function
        else:
            operators[_operator(target)] = function
    return operators, modules


def _operator(target: Target) -> str:
    """Return the name under which the tracer knows an operator."""
    opaque = getattr(target, "_opoverload", target)  # what torch.library.custom_op returns
    packet = getattr(opaque, "overloadpacket", opaque)
    name = packet if isinstance(packet, str) else getattr(packet, "_qualified_op_name", "")
    namespace, _, rest = name.partition("::")
    operator = rest.partition(".")[0]
    if not (namespace and operator):
        raise TraceError(
            f"a rule for {target!r}: expected an operator's name such as 'mylib::scale', an operator of "
            "torch.ops, or a subclass of torch.nn.Module"
        )
    return operator if namespace == "aten" else f"{namespace}.{operator}"
