"""The grid of a comparison: methods x budgets x seeds, with everything else equal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from netsmith.errors import NetsmithError, UnknownNameError
from netsmith.report.trials import budget_text
from netsmith.resolve import resolve_budget, resolve_task
from netsmith.workflow import carry_out
from netsmith.workflow.folder import claim, read_json
from netsmith.workflow.plan import Plan, name_of, plan
from netsmith.workflow.result import RESULT
from netsmith.workflow.trials import Cell

if TYPE_CHECKING:
    from netsmith.cost import Budget
    from netsmith.recipes.job import Recipe
    from netsmith.tasks.task import Task

GROWING = ("methods", "budgets", "seeds")
"""Settings in which a comparison may grow when it is resumed."""


class Grid:
    """The trials of a comparison.

    Args:
        model: as for :func:`netsmith.compare`.
        data: the same.
        methods: the same; at least one.
        budgets: the same; at least one.
        seeds: at least one.
        shared: what all trials have in common, as :func:`netsmith.workflow.plan.plan` takes it.
        options: each method's own settings, by its name.

    Raises:
        NetsmithError: an axis of the grid is empty, or anything a plan would refuse.
    """

    def __init__(
        self,
        model: nn.Module | str,
        data: Task | str | tuple[Any, Any],
        *,
        methods: Sequence[str | Recipe],
        budgets: Sequence[Budget | str | Mapping[str, float | str]],
        seeds: Sequence[int],
        shared: Mapping[str, Any],
        options: Mapping[str, Mapping[str, Any]],
    ) -> None:
        for axis, values in (("methods", methods), ("budgets", budgets), ("seeds", seeds)):
            if not values:
                raise NetsmithError(f"compare got no {axis}; give at least one")
        self.model, self.data, self.shared, self.options = model, data, dict(shared), dict(options)
        self.task: Task = resolve_task(data)
        self.methods = {name_of(method): method for method in methods}
        self.budgets = {budget_text(goals.to_json()): goals for goals in map(resolve_budget, budgets)}
        self.cells = [Cell(m, b, seed) for seed in seeds for b in self.budgets for m in self.methods]
        for name in self.options:
            if name not in self.methods:
                raise UnknownNameError("method in options", name, self.methods)
        self.settings = self._identity(seeds)

    def planned(self, cell: Cell) -> Plan:
        """Return the plan of one trial."""
        return plan(
            self.model,
            self.data,
            method=self.methods[cell.method],
            budget=self.budgets[cell.budget],
            seed=cell.seed,
            options=self.options.get(cell.method),
            task=self.task,
            **self.shared,
        )

    def check_reachable(self) -> None:
        """Find out before any training whether every method can meet every budget.

        Raises:
            NetsmithError: one cannot.
        """
        first = self.cells[0].seed
        for cell in self.cells:
            if cell.seed == first:
                carry_out.check_reachable(self.planned(cell))

    def row(self, cell: Cell, folder: Path, progress: bool) -> dict[str, Any]:
        """Return what one trial came to, done in ``folder`` unless it was before.

        Raises:
            FileError: the folder cannot be written any more.
            NetsmithError: the trial failed.
        """
        planned = self.planned(cell)
        own = folder / "trials" / re.sub(r"[^\w.=,-]+", "-", f"{cell.method}-{cell.budget}-seed-{cell.seed}")
        with claim(own, planned.settings, resume=own.exists()):
            if not (own / RESULT).exists():
                dense = folder / "dense" / f"seed-{cell.seed}"
                carry_out.run(planned, own, dense_folder=dense, resume=True, progress=progress)
            result = read_json(own / RESULT)
        row = {name: result[name] for name in ("method", "budget", "seed", "epochs", "before", "after")}
        return {**row, "seconds": result["time"]["method"]}

    def __getstate__(self) -> dict[str, Any]:
        """Leave out data that another process can load by its name."""
        return {name: value for name, value in vars(self).items() if name != "task" or self.task is self.data}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if "task" not in state:
            self.task = resolve_task(self.data)

    def _identity(self, seeds: Sequence[int]) -> dict[str, Any]:
        first = self.planned(self.cells[0]).settings
        same = ("model", "data", "epochs", "dense_epochs", "device", "round_to", "distill")
        # A network given by name starts from other weights for every seed.
        prints = ("data", "model") if isinstance(self.model, nn.Module) else ("data",)
        return {
            **{name: first[name] for name in same},
            "options": {name: dict(options) for name, options in self.options.items()},
            "fingerprints": {name: first["fingerprints"][name] for name in prints},
            "methods": list(self.methods),
            "budgets": list(self.budgets),
            "seeds": list(seeds),
        }
