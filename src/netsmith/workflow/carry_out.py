"""Carrying a plan out: train, shape, measure, save."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from netsmith.cost.widths import explain
from netsmith.errors import NetsmithError, SpeedWarning
from netsmith.recipes.job import Job
from netsmith.report.trials import budget_text
from netsmith.resolve import methods
from netsmith.workflow.folder import CHECKPOINTS, alone, write_json
from netsmith.workflow.measure import Measured, macs, measure, versions
from netsmith.workflow.plan import Plan
from netsmith.workflow.progress import printer
from netsmith.workflow.result import MODEL, ONNX, REPORT, RESULT, Result
from netsmith.workflow.sensitivity import scored_away, sensitivity
from netsmith.workflow.stages import Stages

if TYPE_CHECKING:
    from netsmith.cards import Card
    from netsmith.train import History


def check_reachable(planned: Plan) -> None:
    """Cut the untrained network to the budget, to learn in a second whether training can lead anywhere.

    Raises:
        BudgetError: the budget cannot be reached by removing channels, or by the method's own check.
        NetsmithError: the network cannot be followed, or has nothing to remove.
    """
    from netsmith.cutting.shrink import shrink

    # A recipe that removes no channels brings its own check.
    own_check = getattr(planned.recipe, "check_reachable", None)
    if own_check is not None:
        own_check(planned.model, planned.budget)
    # Only of our own recipes it is known that they reach a budget by removing channels.
    elif planned.recipe in methods().values():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SpeedWarning)
            shrink(
                planned.model, planned.inputs, budget=planned.budget, round_to=planned.round_to, verify=False
            )


def run(
    planned: Plan,
    folder: Path,
    *,
    dense_folder: Path | None = None,
    resume: bool = False,
    progress: bool = True,
) -> Result:
    """Carry a plan out in a folder that is claimed.

    Args:
        planned: what to do.
        folder: where results go, and checkpoints in a subfolder.
        dense_folder: where the dense stage keeps its checkpoints, if runs share it.
        resume: go on from what is there.
        progress: show it on standard error.
    """
    from netsmith import report
    from netsmith.edits import records

    started = time.perf_counter()
    say = printer(progress)
    stages = partial(
        Stages,
        task=planned.task,
        inputs=planned.inputs,
        seed=planned.seed,
        dense_macs=macs(planned.model, planned.inputs),
        resume=resume,
        device=planned.device,
        progress=progress,
    )
    dense = deepcopy(planned.model)
    training = stages(epochs=planned.dense_epochs, folder=dense_folder or folder / CHECKPOINTS)
    if planned.dense_epochs:
        say(f"training {planned.settings['model']} on {planned.task.name}, {planned.dense_epochs} epochs")
        # Runs that share the dense network wait for the first of them to have trained it.
        with nullcontext() if dense_folder is None else alone(dense_folder):
            training.fit(dense, epochs=planned.dense_epochs, stage="dense")
    trained = time.perf_counter()
    teacher = dense if planned.distill else None
    shaping = stages(epochs=planned.epochs, folder=folder / CHECKPOINTS, teacher=teacher)
    small, notes = _shape(planned, dense, shaping.fit, say)
    shaping.finish(small)
    shaped = time.perf_counter()
    say("measuring before and after")
    measured = measure(dense.cpu(), small.cpu(), planned.task, planned.inputs, folder / ONNX)
    lost = sensitivity(dense, planned.inputs, planned.task, records(small))
    result = Result(
        model=small,
        before=measured.before,
        after=measured.after,
        budget=planned.settings["budget"],
        method=planned.settings["method"],
        seed=planned.seed,
        seconds=time.perf_counter() - started,
        versions=versions(),
        history=training.history + shaping.history,
        records=records(small),
        details={
            **_details(planned, measured, lost),
            "stages": training.reached | shaping.reached,
            "sensitivity": lost,
            "notes": notes,
            "time": {"dense": trained - started, "method": shaped - trained},
        },
        path=folder,
    )
    _save(small, planned, folder / MODEL, varies=measured.varies)
    report.write(result.to_json(), folder / REPORT)
    # Last, because a folder with a result is a finished run.
    write_json(folder / RESULT, result.to_json())
    return result


def _save(small: nn.Module, planned: Plan, path: Path, *, varies: bool) -> None:
    from netsmith.files import save

    varying = planned.task.varying
    if varying is None or not varies:
        save(small, path, inputs=planned.inputs)
    else:
        save(small, path, inputs=varying.example, dynamic_shapes=varying.dims)


def _shape(
    planned: Plan, dense: nn.Module, fit: Callable[..., History], say: Callable[[str], None]
) -> tuple[nn.Module, dict[str, Any]]:
    name = planned.settings["method"]
    say(f"{name} to {budget_text(planned.settings['budget'])}, {planned.epochs} epochs")
    job = Job(
        model=deepcopy(dense),
        inputs=planned.inputs,
        task=planned.task,
        budget=planned.budget,
        epochs=planned.epochs,
        seed=planned.seed,
        fit=fit,
        round_to=planned.round_to,
        options=planned.options,
        log=say,
    )
    with warnings.catch_warnings():
        # Whether time falls is measured on the finished network, and said in the result.
        warnings.simplefilter("ignore", SpeedWarning)
        small = planned.recipe(job)
    if not isinstance(small, nn.Module):
        raise NetsmithError(
            f"method {name!r} returned a {type(small).__name__}; it must return a torch.nn.Module"
        )
    return small.eval(), job.notes


def _details(planned: Plan, measured: Measured, lost: dict[str, Any] | None) -> dict[str, Any]:
    now, cost = (
        {"latency": row["latency_s"], "energy": row["energy_j"], **row}
        for row in (measured.before, measured.after)
    )
    limits = planned.budget.limits(now)
    slow = explain(now, cost)
    if slow and planned.round_to == "auto":
        # The advice after the semicolon, to let the widths be chosen, was followed already.
        slow = slow.partition(";")[0]
    card: Card | None = getattr(planned.recipe, "__card__", None)
    if card is not None and card.nonzeros:
        cost = cost | {"params": cost["nonzero"]}
    missed = [
        f"{kind} is {cost[kind]:.4g}, asked was at most {limit:.4g}"
        for kind, limit in limits.items()
        if cost[kind] > limit * (1 + 1e-9)
    ]
    return {
        "model": planned.settings["model"],
        "data": planned.settings["data"],
        "epochs": planned.epochs,
        "dense_epochs": planned.dense_epochs,
        "command": planned.command(),
        "limits": limits,
        "warnings": missed + ([slow] if slow else []) + scored_away(lost),
        **measured.details,
    }
