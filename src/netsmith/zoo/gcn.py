"""A graph convolutional network that classifies nodes.

Kipf, Welling, Semi-supervised classification with graph convolutional networks (2017), arXiv:1609.02907.
"""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from netsmith.optional import require
from netsmith.zoo.scaled import scaled


class GraphConvolutionalNetwork(nn.Module):
    """PyTorch Geometric's graph convolutions with ReLU and dropout between them.

    Args:
        widths: of the nodes' features, of every hidden layer, and of the logits.
        dropout: of what each layer reads, in training.
    """

    def __init__(self, widths: tuple[int, ...], *, dropout: float = 0.5) -> None:
        from torch_geometric.nn import GCNConv

        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(GCNConv(reads, makes) for reads, makes in pairwise(widths))

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Return logits ``[nodes, classes]`` of features ``[nodes, features]`` and edges ``[2, edges]``."""
        *hidden, last = self.layers
        for layer in hidden:
            x = F.relu(layer(self.dropout(x), edge_index))
        logits: Tensor = last(self.dropout(x), edge_index)
        return logits


def gcn(
    *,
    classes: int = 7,
    features: int = 1433,
    width: float = 1.0,
    hidden: int = 16,
    layers: int = 2,
    dropout: float = 0.5,
) -> nn.Module:
    """Return a GCN of two layers, 16 wide; 23,063 parameters on Cora.

    Args:
        classes: number of logits.
        features: of a node.
        width: multiplies the hidden width.
        hidden: the hidden width.
        layers: how many, the one that makes the logits included.
        dropout: of what each layer reads.

    Returns:
        A network from (features ``[nodes, features]``, edges ``[2, edges]``) to logits ``[nodes, classes]``.

    Raises:
        NetsmithError: PyTorch Geometric is not installed, or the width is not positive.

    Example:
        >>> sum(parameter.numel() for parameter in gcn().parameters())
        23063
    """
    require("torch_geometric", extra="graph", what="model 'gcn'")
    inside = (scaled(hidden, width),) * (layers - 1)
    return GraphConvolutionalNetwork((features, *inside, classes), dropout=dropout)
