"""netsmith: learn a network's structure together with its weights, to a budget the user states.

The verbs are imported when they are first used, so that ``import netsmith`` costs little beyond ``torch``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from netsmith import (
        cost,
        drivers,
        edits,
        graph,
        penalties,
        projections,
        recipes,
        scores,
        tasks,
        train,
        zoo,
    )
    from netsmith.compare import compare
    from netsmith.compress import compress
    from netsmith.cost.budget import Budget
    from netsmith.cost.profile import profile
    from netsmith.cutting.shrink import shrink
    from netsmith.edits.optimizer import rebind
    from netsmith.edits.records import records, replay
    from netsmith.files import export, load, save
    from netsmith.graph.tracing import trace

_VERBS = {
    "Budget": "netsmith.cost.budget",
    "compare": "netsmith.compare",
    "compress": "netsmith.compress",
    "export": "netsmith.files",
    "load": "netsmith.files",
    "profile": "netsmith.cost.profile",
    "rebind": "netsmith.edits.optimizer",
    "records": "netsmith.edits.records",
    "replay": "netsmith.edits.records",
    "save": "netsmith.files",
    "shrink": "netsmith.cutting.shrink",
    "trace": "netsmith.graph.tracing",
}
_FAMILIES = (
    "cost",
    "drivers",
    "edits",
    "graph",
    "penalties",
    "projections",
    "recipes",
    "scores",
    "tasks",
    "train",
    "zoo",
)

__all__ = [
    "Budget",
    "compare",
    "compress",
    "cost",
    "drivers",
    "edits",
    "export",
    "graph",
    "load",
    "penalties",
    "profile",
    "projections",
    "rebind",
    "recipes",
    "records",
    "replay",
    "save",
    "scores",
    "shrink",
    "tasks",
    "trace",
    "train",
    "zoo",
]


def __getattr__(name: str) -> Any:
    if name in _VERBS:
        verb = getattr(import_module(_VERBS[name]), name)
        # Importing netsmith.shrink and the like binds the module under the verb's own name; bind the verb.
        globals()[name] = verb
        return verb
    if name in _FAMILIES:
        return import_module(f"netsmith.{name}")
    raise AttributeError(f"module 'netsmith' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
