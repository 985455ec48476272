"""Which groups a user leaves free to change."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from netsmith.graph import StructureGraph


def unprotected(graph: StructureGraph, protect: Iterable[str]) -> list[str]:
    """Return the names of the groups that no pattern hits by group, tensor or module name."""
    patterns = [protect] if isinstance(protect, str) else list(protect)

    def hit(group_name: str, tensors: list[str]) -> bool:
        names = [group_name, *tensors]
        for tensor in tensors:
            parts = tensor.split(".")
            names += [".".join(parts[:end]) for end in range(1, len(parts))]
        return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)

    return [g.name for g in graph.groups if not hit(g.name, [s.tensor for s in g.slices])]
