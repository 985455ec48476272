"""Turn what a user writes into the object meant: a name of ours, or ``file.py:callable`` of their own."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import zlib
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from netsmith.errors import BudgetError, DataError, FileError, NetsmithError, UnknownNameError

if TYPE_CHECKING:
    from torch import nn

    from netsmith.cost import Budget
    from netsmith.recipes.job import Recipe
    from netsmith.tasks.task import Task


def spelled(name: str) -> str:
    """Return a Python name as the command spells it: ``small_cnn`` becomes ``small-cnn``."""
    return name.replace("_", "-")


def is_file(spec: str) -> bool:
    """Tell whether ``spec`` names a callable in a file of the user's, such as ``nets.py:small``."""
    return spec.rpartition(":")[0].endswith(".py") or spec.endswith(".py")


def load_callable(spec: str) -> Callable[..., Any]:
    """Return the callable that ``file.py:callable`` names; the file is run, because the user named it.

    Raises:
        FileError: there is no such file.
        NetsmithError: no callable was named, or what was named cannot be called.
        UnknownNameError: the file has no such name.
    """
    file, _, name = spec.rpartition(":")
    if not file.endswith(".py") or not name:
        raise NetsmithError(f"{spec!r} does not say which callable to use; write {spec}:callable")
    path = Path(file).expanduser()
    if not path.is_file():
        raise FileError(f"there is no file {file!r} (asked for by {spec!r})")
    module = _run_file(path.resolve())
    known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
    if not hasattr(module, name):
        raise UnknownNameError(f"callable in {file}", name, known)
    found = getattr(module, name)
    if not callable(found):
        raise NetsmithError(f"{name!r} in {file} is a {type(found).__name__}; expected a callable")
    return found  # type: ignore[no-any-return]


def _run_file(path: Path) -> ModuleType:
    # The stem as module name: `import nets` in a later process finds the classes that a file names.
    loaded = sys.modules.get(path.stem)
    if loaded is not None and getattr(loaded, "__file__", None) == str(path):
        return loaded
    name = path.stem if loaded is None else f"{path.stem}_{zlib.crc32(str(path).encode()):x}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise FileError(f"{str(path)!r} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def call_with_accepted(function: Callable[..., Any], offered: Mapping[str, Any]) -> Any:
    """Call ``function`` with those of the ``offered`` keyword arguments that its signature names."""
    accepted = inspect.signature(function).parameters
    return function(**{name: value for name, value in offered.items() if name in accepted})


def methods() -> dict[str, Recipe]:
    """Return the recipes that come with netsmith, by the command's name."""
    from netsmith import recipes

    members = {spelled(name): getattr(recipes, name) for name in recipes.__all__}
    return {name: member for name, member in members.items() if hasattr(member, "__card__")}


def resolve_model(spec: str, task: Task, *, seed: int = 0) -> nn.Module:
    """Return the network that ``spec`` names, built for ``task`` from ``seed``, in eval mode.

    A callable is given ``classes`` and ``input_shape`` where its signature names them.

    Raises:
        UnknownNameError: no network of that name.
        NetsmithError: the network cannot read such inputs, or the callable does not return an ``nn.Module``.
    """
    import torch
    from torch import nn

    from netsmith import zoo

    build = load_callable(spec) if is_file(spec) else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if build is None:
            return zoo.build(
                spelled(spec), classes=task.classes, input_shape=task.input_shape, kind=task.kind
            ).eval()
        model = call_with_accepted(build, {"classes": task.classes, "input_shape": task.input_shape})
    if not isinstance(model, nn.Module):
        raise NetsmithError(f"{spec!r} returned a {type(model).__name__}; a model must be a torch.nn.Module")
    return model.eval()


def resolve_method(spec: str | Recipe) -> Recipe:
    """Return the recipe that ``spec`` names; a callable is its own recipe.

    Raises:
        UnknownNameError: no method of that name.
    """
    if not isinstance(spec, str):
        return spec
    if is_file(spec):
        return load_callable(spec)
    known = methods()
    if spelled(spec) not in known:
        raise UnknownNameError("method", spec, known)
    return known[spelled(spec)]


def resolve_budget(given: Budget | str | Mapping[str, float | str]) -> Budget:
    """Return the budget in ``"macs=0.3,latency=5ms"`` or ``{"macs": 0.3, "latency": "5ms"}``.

    Raises:
        UnknownNameError: a key that is none of macs, params, bytes, latency, energy.
        BudgetError: no goal at all, a key given twice, or a value that is not a positive amount.
    """
    from netsmith.cost import Budget

    if isinstance(given, Budget):
        return given
    if not given:
        raise BudgetError("the budget is empty; write for example macs=0.3 or bytes=200kB,latency=5ms")
    goals = Budget.parse(given).to_json() if isinstance(given, str) else given
    known = [field.name for field in fields(Budget)]
    for key in goals:
        if key not in known:
            raise UnknownNameError("budget key", key, known)
    return Budget(**{key: _number(value) for key, value in goals.items()})


def _number(value: float | str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value


def resolve_task(spec: str | Task | tuple[Any, Any]) -> Task:
    """Return the task that ``spec`` names; a task is itself, a pair of data sets is made into one.

    Raises:
        UnknownNameError: no data set of that name.
        DataError: the callable returned neither a task nor a (train, test) pair of data sets.
    """
    from netsmith import tasks
    from netsmith.own_data import task_of_pair
    from netsmith.tasks.task import Task

    if isinstance(spec, Task):
        return spec
    if isinstance(spec, tuple) and len(spec) == 2:
        return task_of_pair("your data", *spec)
    if not isinstance(spec, str):
        raise DataError(f"data is a {type(spec).__name__}; expected a name, a Task or a (train, test) pair")
    if not is_file(spec):
        return tasks.load(spec)
    given = load_callable(spec)()
    if isinstance(given, Task):
        return given
    if isinstance(given, tuple) and len(given) == 2:
        return task_of_pair(spec, *given)
    raise DataError(
        f"{spec!r} returned a {type(given).__name__}; expected a Task or a (train, test) pair of data sets"
    )
