"""Gates: numbers from 0 to 1 that channels are multiplied by, learnt until they say which ones stay."""

from __future__ import annotations

from netsmith.gates.gate_search import GateSearch
from netsmith.gates.gated import Gated
from netsmith.gates.scaled_sigmoid import ScaledSigmoid, scaled_sigmoid

__all__ = ["GateSearch", "Gated", "ScaledSigmoid", "scaled_sigmoid"]
