"""The job a recipe is given: a trained network, its data, a budget, and as much training as it may use."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from netsmith.errors import NetsmithError

if TYPE_CHECKING:
    from torch import nn

    from netsmith.contracts import Inputs
    from netsmith.cost import Budget
    from netsmith.tasks.task import Task
    from netsmith.train import History

Recipe = Callable[["Job"], "nn.Module"]
"""A whole method: from a job to the network that meets its budget."""


def _silent(message: str) -> None:
    """Drop a message."""


@dataclass(kw_only=True)
class Job:
    """One piece of work for a recipe.

    Args:
        model: the dense network, already trained; the recipe may change it or return another.
        inputs: example inputs of the model (one tensor, a tuple, or a dict of keyword arguments).
        task: data, loss and metric.
        budget: what the returned network must cost at most; fractions are of ``model`` as given.
        epochs: passes over the training data that all calls of ``fit`` together may make.
        seed: where every random choice of the recipe starts.
        fit: :func:`netsmith.train.fit` with data, augmentation, evaluation, device, seed, checkpoints and
            progress bound: ``job.fit(model, epochs=..., penalty=..., after_step=..., learning_rate=...,
            stage="sparse")``, or with the training data in another form, ``data=...``. ``stage`` names the
            checkpoints, so a run resumes stage by stage: give each call its own. Raises
            :class:`~netsmith.errors.TrainingError` beyond ``epochs``.
        round_to: kept widths are multiples of this, or ``"auto"`` for widths the machine likes.
        options: the method's own settings; read them with :meth:`settings`.
        log: takes one line of progress.
        notes: what the recipe wants to say in the result and the report; plain data.
    """

    model: nn.Module
    inputs: Inputs
    task: Task
    budget: Budget
    epochs: int
    seed: int
    fit: Callable[..., History]
    round_to: int | Literal["auto"] = 1
    options: dict[str, Any] = field(default_factory=dict)
    log: Callable[[str], None] = _silent
    notes: dict[str, Any] = field(default_factory=dict)

    def settings(self, **defaults: Any) -> dict[str, Any]:
        """Return ``defaults`` with the job's options over them, each of the default's type.

        Raises:
            NetsmithError: an option the method does not have, or a value of another type.

        >>> job = Job(model=None, inputs=None, task=None, budget=None, epochs=1, seed=0, fit=None,
        ...           options={"strength": "1e-4"})
        >>> job.settings(strength=1e-3, scope="global")
        {'strength': 0.0001, 'scope': 'global'}
        """
        chosen = dict(defaults)
        for name, value in self.options.items():
            if name not in defaults:
                raise NetsmithError(_unknown_option(name, list(defaults)))
            chosen[name] = _as_type(name, value, defaults[name])
        return chosen


def _unknown_option(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"unknown option {name!r} of this method; did you mean {near[0]}?"
    return f"unknown option {name!r} of this method; it has {', '.join(sorted(known)) or 'none'}"


def _as_type(name: str, value: Any, default: Any) -> Any:
    if default is None or isinstance(value, type(default)):
        return value
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[str(value).lower()]
        read = type(default)(value)
        # int(2.5) would be 2, which nobody asked for.
        if isinstance(value, int | float) and read != value:
            raise ValueError
        return read
    except (KeyError, TypeError, ValueError):
        kind = type(default).__name__
        raise NetsmithError(
            f"option {name!r} must be of type {kind} (default {default!r}), got {value!r}"
        ) from None
