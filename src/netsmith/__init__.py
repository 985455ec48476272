"""netsmith: learn a network's structure together with its weights, to a budget the user states.

The verbs and families are imported when they are first used, so that ``import netsmith`` costs little beyond
``torch``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from netsmith import (
        analysis,
        cost,
        drivers,
        edits,
        gates,
        graph,
        penalties,
        projections,
        recipes,
        scores,
        searches,
        sparsity,
        targets,
        tasks,
        train,
        zoo,
    )
    from netsmith.cost.budget import Budget
    from netsmith.cost.profile import profile
    from netsmith.cutting.grow import grow
    from netsmith.cutting.program import as_program
    from netsmith.cutting.shrink import shrink
    from netsmith.edits.difference import diff
    from netsmith.edits.optimizer import rebind
    from netsmith.edits.records import records
    from netsmith.edits.replay import replay
    from netsmith.files import export, load, load_program, save, time_onnx
    from netsmith.graph.tracing import trace
    from netsmith.targets.distillation import distill
    from netsmith.workflow.compare import compare
    from netsmith.workflow.compress import compress

_VERBS = {
    "Budget": "netsmith.cost.budget",
    "as_program": "netsmith.cutting.program",
    "compare": "netsmith.workflow.compare",
    "compress": "netsmith.workflow.compress",
    "diff": "netsmith.edits.difference",
    "distill": "netsmith.targets.distillation",
    "export": "netsmith.files",
    "grow": "netsmith.cutting.grow",
    "load": "netsmith.files",
    "load_program": "netsmith.files",
    "profile": "netsmith.cost.profile",
    "rebind": "netsmith.edits.optimizer",
    "records": "netsmith.edits.records",
    "replay": "netsmith.edits.replay",
    "save": "netsmith.files",
    "shrink": "netsmith.cutting.shrink",
    "time_onnx": "netsmith.files",
    "trace": "netsmith.graph.tracing",
}

__all__ = [
    "Budget",
    "analysis",
    "as_program",
    "compare",
    "compress",
    "cost",
    "diff",
    "distill",
    "drivers",
    "edits",
    "export",
    "gates",
    "graph",
    "grow",
    "load",
    "load_program",
    "penalties",
    "profile",
    "projections",
    "rebind",
    "recipes",
    "records",
    "replay",
    "save",
    "scores",
    "searches",
    "shrink",
    "sparsity",
    "targets",
    "tasks",
    "time_onnx",
    "trace",
    "train",
    "zoo",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'netsmith' has no attribute {name!r}")
    if name in _VERBS:
        return getattr(import_module(_VERBS[name]), name)
    return import_module(f"netsmith.{name}")


def __dir__() -> list[str]:
    return sorted(__all__)
