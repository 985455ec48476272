"""Graphs as data sets whose batches a model is called with as ``model(x, edge_index[, batch])``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor
from torch.utils.data import Dataset

from netsmith.optional import require

if TYPE_CHECKING:
    from torch_geometric.data import Data

    from netsmith.tasks.batches import Batch

LIBRARY, EXTRA = "torch_geometric", "graph"


def require_graphs(task: str) -> None:
    """Refuse a task of graphs where PyTorch Geometric is missing.

    Raises:
        NetsmithError: names the task and what to install.
    """
    require(LIBRARY, extra=EXTRA, what=f"data set {task!r}")


class WholeGraph(Dataset["Batch"]):
    """One graph, whole at every step: inputs ``(x, edge_index)`` and a target per node.

    Args:
        x: features of the nodes, float ``[nodes, features]``.
        edge_index: int64 ``[2, edges]``, from row 0 to row 1.
        targets: class ids ``[nodes]``, -100 where a node is not of this part.
        steps: how often an epoch sees it.
    """

    def __init__(self, x: Tensor, edge_index: Tensor, targets: Tensor, *, steps: int = 1) -> None:
        self.inputs, self.targets, self.steps = (x, edge_index), targets, steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> Batch:
        return self.inputs, self.targets

    def collate(self, samples: Sequence[Batch]) -> Batch:
        """Return the one graph, however often it was drawn."""
        return samples[0]


class Graphs(Dataset["Data"]):
    """Graphs with a class each: inputs ``(x, edge_index, batch)`` of their union, and a target per graph.

    Args:
        graphs: PyTorch Geometric's ``Data`` with ``x``, ``edge_index`` and ``y``.
    """

    def __init__(self, graphs: Sequence[Data]) -> None:
        self.graphs = list(graphs)

    def __len__(self) -> int:
        return len(self.graphs)

    def __getitem__(self, index: int) -> Data:
        return self.graphs[index]

    def collate(self, samples: Sequence[Data]) -> Batch:
        """Return graphs side by side as one; ``batch`` tells whose node each is."""
        from torch_geometric.data import Batch as Union

        union = Union.from_data_list(list(samples))
        return (union.x, union.edge_index, union.batch), union.y
