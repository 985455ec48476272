"""Which parameters a driver takes, and which projection each of them gets."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from torch import nn

from netsmith.contracts import Projection
from netsmith.errors import NetsmithError, UnknownNameError
from netsmith.wrappers import unwrapped

Select = str | Collection[str] | Callable[[str, nn.Parameter], bool] | None
"""Which parameters: names or patterns of parameters or modules, or a filter ``(name, parameter) -> bool``.

``None`` takes every trainable weight (two dimensions or more). ``"fc1"`` takes the weights of a module and of
all below it, ``"features.*.weight"`` is a shell pattern over full parameter names. Biases and other vectors
are only taken by their exact name or by a filter.
"""


class Constrained(NamedTuple):
    """A parameter that a projection has to hold for."""

    name: str
    parameter: nn.Parameter
    projection: Projection


def selected(model: nn.Module, select: Select = None) -> dict[str, nn.Parameter]:
    """Return the parameters that ``select`` takes, by name, in the order of the model.

    Raises:
        UnknownNameError: a name or pattern that matches nothing.
        NetsmithError: a filter, or the default, that matches nothing.
    """
    parameters = dict(unwrapped(model).named_parameters())
    if select is None:
        found = {name: p for name, p in parameters.items() if p.dim() >= 2 and p.requires_grad}
    elif callable(select):
        found = {name: p for name, p in parameters.items() if select(name, p)}
    else:
        patterns = [select] if isinstance(select, str) else list(select)
        found = {name: p for name, p in parameters.items() if any(_takes(one, name, p) for one in patterns)}
        for one in patterns:
            if not any(_takes(one, name, p) for name, p in parameters.items()):
                raise UnknownNameError("parameter", one, parameters)
    if not found:
        raise NetsmithError(
            f"no parameter of {type(model).__name__} was selected, expected at least one; "
            "give names of its weights as select"
        )
    return found


def assigned(
    model: nn.Module, projection: Projection | Mapping[str, Projection], select: Select = None
) -> list[Constrained]:
    """Pair the selected parameters with their projection.

    Args:
        model: where the parameters are.
        projection: one for all, or a mapping from names or patterns to projections (the first that matches
            holds), which then also says what is selected.
        select: see :data:`Select`; only with a single projection.

    Raises:
        NetsmithError: nothing matched; or both a mapping and ``select`` were given.
    """
    if not isinstance(projection, Mapping):
        return [Constrained(name, p, projection) for name, p in selected(model, select).items()]
    if select is not None:
        raise NetsmithError(
            "got a mapping of projections and select, expected one of them; "
            "the keys already say which parameters"
        )
    chosen: dict[str, Constrained] = {}
    for pattern, one in projection.items():
        for name, p in selected(model, pattern).items():
            chosen.setdefault(name, Constrained(name, p, one))
    return list(chosen.values())


def _takes(pattern: str, name: str, parameter: nn.Parameter) -> bool:
    if pattern == name:
        return True
    if parameter.dim() < 2:
        return False
    modules = name.split(".")[:-1]
    prefixes = (".".join(modules[: end + 1]) for end in range(len(modules)))
    return fnmatchcase(name, pattern) or any(fnmatchcase(prefix, pattern) for prefix in prefixes)
