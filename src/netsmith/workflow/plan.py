"""A run, thought through before anything is written: every name resolved, every mistake found that can be."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from netsmith.calling import call, moved
from netsmith.cards import require_served
from netsmith.errors import DataError, NetsmithError, TrainingError
from netsmith.modes import evaluating
from netsmith.report.trials import budget_text
from netsmith.resolve import is_file, resolve_budget, resolve_method, resolve_model, resolve_task, spelled
from netsmith.tasks.batches import batch_of, size_of
from netsmith.workflow.fingerprint import fingerprint, fingerprint_of_task
from netsmith.wrappers import unwrapped

if TYPE_CHECKING:
    from netsmith.contracts import Inputs
    from netsmith.cost import Budget
    from netsmith.recipes.job import Recipe
    from netsmith.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything a run needs, checked."""

    model: nn.Module
    task: Task
    recipe: Recipe
    budget: Budget
    inputs: Inputs
    epochs: int
    dense_epochs: int
    seed: int
    device: str | None
    round_to: int | Literal["auto"]
    distill: bool
    options: dict[str, Any]
    settings: dict[str, Any]
    """What identifies the run: plain data, kept in its folder."""
    reproducible: bool
    """Whether model, data and method were given by name, so that the command can do the same again."""

    def dense_settings(self) -> dict[str, Any]:
        """Return what identifies the network before the cut; runs that agree in it can share its training."""
        names = ("model", "data", "seed", "dense_epochs", "device", "fingerprints")
        return {name: self.settings[name] for name in names}

    def command(self) -> str | None:
        """Return the command that does the same again, or None if a model or data was given as an object."""
        flags = {name: self.settings[name] for name in ("method", "epochs", "dense_epochs", "seed")}
        if not self.reproducible:
            return None
        flags = {"model": self.settings["model"], "data": self.settings["data"], **flags}
        flags["budget"] = budget_text(self.settings["budget"])
        if self.device is not None:
            flags["device"] = self.device
        if self.round_to != 1:
            flags["round_to"] = self.round_to
        parts = [part for name, value in flags.items() for part in (f"--{spelled(name)}", str(value))]
        parts += ["--distill"] if self.distill else []
        parts += [part for name, value in self.options.items() for part in ("--option", f"{name}={value}")]
        return shlex.join(["netsmith", "compress", *parts])


def plan(
    model: nn.Module | str,
    data: Task | str | tuple[Any, Any],
    *,
    method: str | Recipe,
    budget: Budget | str | Mapping[str, float | str],
    epochs: int | None,
    dense_epochs: int | None,
    seed: int,
    device: str | None,
    round_to: int | Literal["auto"],
    distill: bool,
    options: Mapping[str, Any] | None,
    inputs: Inputs | None,
    task: Task | None = None,
) -> Plan:
    """Return the plan of a run; see :func:`netsmith.compress` for the arguments.

    Args:
        task: what ``data`` names, where it was loaded before.

    Raises:
        NetsmithError: anything that can be known to go wrong before training.
    """
    recipe, goals = resolve_method(method), resolve_budget(budget)
    require_served(recipe, goals, name_of(method))
    _check_numbers(epochs, dense_epochs, seed, device, round_to)
    task = resolve_task(data) if task is None else task
    model = unwrapped(model)
    network = model if isinstance(model, nn.Module) else resolve_model(model, task, seed=seed)
    epochs = default_epochs(size_of(task.train)) if epochs is None else epochs
    if dense_epochs is None:
        dense_epochs = epochs if isinstance(model, str) else 0
    example = task.example() if inputs is None else inputs
    _check_model(network, task)
    settings = {
        "model": model if isinstance(model, str) else f"{type(model).__name__} given as an object",
        "data": data if isinstance(data, str) else task.name,
        "method": name_of(method),
        "budget": goals.to_json(),
        "epochs": epochs,
        "dense_epochs": dense_epochs,
        "seed": seed,
        "device": device,
        "round_to": round_to,
        "distill": distill,
        "options": dict(options or {}),
        "fingerprints": {"model": fingerprint(network.state_dict()), "data": fingerprint_of_task(task)},
    }
    return Plan(
        model=network,
        task=task,
        recipe=recipe,
        budget=goals,
        inputs=example,
        epochs=epochs,
        dense_epochs=dense_epochs,
        seed=seed,
        device=device,
        round_to=round_to,
        distill=distill,
        options=dict(options or {}),
        settings=settings,
        reproducible=all(isinstance(given, str) for given in (model, data, method)),
    )


def default_epochs(samples: int) -> int:
    """Return how many passes over ``samples`` examples a stage makes when nothing is said: 4 to 20."""
    return max(4, min(20, 60_000 // samples))


def name_of(method: str | Recipe) -> str:
    """Return how a method is called in results and tables."""
    if isinstance(method, str):
        return method if is_file(method) else spelled(method)
    return spelled(getattr(method, "__name__", type(method).__name__))


def _check_numbers(
    epochs: int | None, dense_epochs: int | None, seed: int, device: str | None, round_to: Any
) -> None:
    if epochs is not None and epochs < 1:
        raise NetsmithError(f"epochs must be at least 1, got {epochs}")
    if dense_epochs is not None and dense_epochs < 0:
        raise NetsmithError(f"dense_epochs must be 0 or more, got {dense_epochs}")
    if not 0 <= seed < 2**63:
        raise NetsmithError(f"seed must be a whole number from 0 on, got {seed}")
    if round_to != "auto" and (not isinstance(round_to, int) or round_to < 1):
        raise NetsmithError(f"round_to must be a whole number from 1 on, or 'auto', got {round_to!r}")
    if device is not None:
        try:
            torch.zeros(1, device=device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).partition("\n")[0]
            raise NetsmithError(
                f"device {device!r} cannot be used here ({reason}); leave --device out"
            ) from error


def _check_model(model: nn.Module, task: Task) -> None:
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise TrainingError(f"the weights {name!r} hold a NaN or infinity; give a network that works")
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    count = min(2, size_of(task.test))
    inputs, targets = moved(batch_of(task.test, range(count)), device)
    try:
        with torch.no_grad(), evaluating(model):
            logits = call(model, inputs)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"the model does not take the inputs of {task.name!r}, {list(task.input_shape)} each: {reason}"
        ) from error
    if not isinstance(logits, Tensor) or logits.shape != (*targets.shape, task.classes):
        shape = list(logits.shape[targets.dim() :]) if isinstance(logits, Tensor) else type(logits).__name__
        raise DataError(
            f"the model returns {shape} for each input, {task.name!r} needs [{task.classes}] logits"
        )
