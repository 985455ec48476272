"""What a run gives back, in Python and in ``result.json``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netsmith.workflow.folder import read_json

if TYPE_CHECKING:
    from torch import nn

RESULT = "result.json"
MODEL = "model.nsm"
ONNX = "model.onnx"
REPORT = "report.html"


@dataclass(kw_only=True)
class Result:
    """The outcome of :func:`netsmith.compress`.

    ``before`` and ``after`` each hold the task's metrics on held-out data (``accuracy`` from 0 to 1, of
    language also ``perplexity``), ``params``, ``nonzero`` (parameters that are not zero), ``macs`` (of one
    input), ``bytes`` (of the weights), ``latency_s`` (one input in ONNX Runtime, both measured in turns),
    ``eager_s`` (the same in PyTorch) and ``energy_j`` (from the energy table). One input is a sequence, or a
    graph, where the data has those.
    """

    model: nn.Module
    before: dict[str, float]
    after: dict[str, float]
    budget: dict[str, float | str]
    method: str
    seed: int
    seconds: float
    """Wall time of the process that finished the run."""
    versions: dict[str, str]
    history: list[dict[str, Any]] = field(default_factory=list)
    """One entry per epoch, with its ``stage``."""
    records: list[dict[str, Any]] = field(default_factory=list)
    """What was cut, as :func:`netsmith.records` gives it."""
    details: dict[str, Any] = field(default_factory=dict)
    """What else the report shows: model, data, epochs, layers, latency, export, notes, ..."""
    path: Path | None = None
    """Folder of the run."""

    def to_json(self) -> dict[str, Any]:
        """Return everything but the model as plain data."""
        return {
            "before": self.before,
            "after": self.after,
            "budget": self.budget,
            "method": self.method,
            "seed": self.seed,
            "seconds": self.seconds,
            "versions": self.versions,
            **self.details,
            "history": self.history,
            "records": self.records,
        }

    @classmethod
    def from_folder(cls, path: Path, model: nn.Module) -> Result:
        """Return the result of the finished run in ``path``, with the ``model`` it produced.

        Raises:
            FileError: ``result.json`` is missing or not whole.
        """
        content = read_json(path / RESULT)
        own = {
            name: content.pop(name)
            for name in cls.__dataclass_fields__
            if name in content and name != "model"
        }
        return cls(model=model, details=content, path=path, **own)
