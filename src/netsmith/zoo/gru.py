"""A recurrent language model of gated recurrent units.

Cho et al., Learning phrase representations using RNN encoder-decoder for statistical machine translation
(2014), arXiv:1406.1078; sizes as the small model of Zaremba, Sutskever, Vinyals (2014), arXiv:1409.2329.
"""

from __future__ import annotations

from torch import Tensor, nn

from netsmith.zoo.scaled import scaled


class GRULanguageModel(nn.Module):
    """Embedding, GRU layers of their own widths, and a linear head.

    Each layer is a GRU by itself, so that its width can be cut alone.

    Args:
        tokens: size of the vocabulary, read and predicted.
        width: of the embedding and of every layer.
        layers: how many.
        dropout: between them, in training.
        tied: whether the head's weights are the embedding's; widths of the last layer and the embedding are
            then one.
    """

    def __init__(
        self, tokens: int, *, width: int, layers: int = 2, dropout: float = 0.2, tied: bool = False
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, width)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(nn.GRU(width, width, batch_first=True) for _ in range(layers))
        self.head = nn.Linear(width, tokens)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        if tied:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits of each next token, ``[n, time, tokens]``, of ids ``[n, time]``."""
        hidden = self.dropout(self.embedding(tokens))
        for layer in self.layers:
            hidden = self.dropout(layer(hidden)[0])
        logits: Tensor = self.head(hidden)
        return logits


def gru(
    *, classes: int = 10_000, width: float = 1.0, layers: int = 2, dropout: float = 0.2, tied: bool = False
) -> GRULanguageModel:
    """Return a language model of GRU layers 200 wide; 4,492,400 parameters at 10,000 tokens.

    Args:
        classes: number of tokens.
        width: multiplies all widths.
        layers: how many GRU layers.
        dropout: after the embedding and every layer.
        tied: whether embedding and head share their weights.

    Returns:
        A network from ids ``[n, time]`` to logits ``[n, time, classes]``.

    Example:
        >>> sum(parameter.numel() for parameter in gru().parameters())
        4492400
    """
    return GRULanguageModel(classes, width=scaled(200, width), layers=layers, dropout=dropout, tied=tied)
