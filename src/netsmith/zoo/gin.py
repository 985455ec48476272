"""A graph isomorphism network that classifies graphs.

Xu, Hu, Leskovec, Jegelka, How powerful are graph neural networks? (2019), arXiv:1810.00826.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from netsmith.optional import require
from netsmith.zoo.scaled import scaled


def perceptron(reads: int, width: int) -> nn.Sequential:
    """Return two linear layers with batch norm and ReLU between them."""
    return nn.Sequential(nn.Linear(reads, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, width))


class GraphIsomorphismNetwork(nn.Module):
    """PyTorch Geometric's GIN convolutions; the sums over a graph's nodes at every depth vote for its class.

    Args:
        features: of a node.
        width: of every layer.
        classes: number of logits.
        layers: how many.
        dropout: of each vote, in training.
    """

    def __init__(self, features: int, *, width: int, classes: int, layers: int, dropout: float) -> None:
        from torch_geometric.nn import GINConv

        super().__init__()
        reads = [features, *(width for _ in range(layers - 1))]
        self.layers = nn.ModuleList(GINConv(perceptron(size, width)) for size in reads)
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in reads)
        self.votes = nn.ModuleList(nn.Linear(size, classes) for size in (*reads, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
        """Return logits ``[graphs, classes]``.

        Args:
            x: features ``[nodes, features]``.
            edge_index: ``[2, edges]``.
            batch: which graph each node is of, from 0 on, ``[nodes]``.
        """
        from torch_geometric.nn import global_add_pool

        # Not int(batch.max()): an export takes other numbers of graphs only if it can follow this one.
        graphs = batch.max().item() + 1
        first, *others = self.votes
        logits: Tensor = self.dropout(first(global_add_pool(x, batch, graphs)))
        for layer, norm, vote in zip(self.layers, self.norms, others, strict=True):
            x = F.relu(norm(layer(x, edge_index)))
            logits = logits + self.dropout(vote(global_add_pool(x, batch, graphs)))
        return logits


def gin(
    *,
    classes: int = 2,
    features: int = 3,
    width: float = 1.0,
    hidden: int = 32,
    layers: int = 5,
    dropout: float = 0.5,
) -> nn.Module:
    """Return a GIN-0 of five layers, 32 wide; 10,610 parameters on PROTEINS.

    Args:
        classes: number of logits.
        features: of a node.
        width: multiplies all widths.
        hidden: the width.
        layers: how many.
        dropout: of each depth's vote.

    Returns:
        A network from (features ``[nodes, features]``, edges ``[2, edges]``, graph of each node ``[nodes]``)
        to logits ``[graphs, classes]``.

    Raises:
        NetsmithError: PyTorch Geometric is not installed, or the width is not positive.

    Example:
        >>> sum(parameter.numel() for parameter in gin().parameters())
        10610
    """
    require("torch_geometric", extra="graph", what="model 'gin'")
    return GraphIsomorphismNetwork(
        features, width=scaled(hidden, width), classes=classes, layers=layers, dropout=dropout
    )
