"""A Transformer of BERT-small's shape that predicts the next token.

Turc, Chang, Lee, Toutanova, Well-read students learn better (2019), arXiv:1908.08962 (BERT-small: 4 layers,
512 wide, 8 heads); Vaswani et al., Attention is all you need (2017), arXiv:1706.03762. Layers, positions and
the tied head are BERT's; attention looks back only and the objective is the next token, not masked ones.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netsmith.errors import NetsmithError
from netsmith.zoo.scaled import scaled


class CausalAttention(nn.Module):
    """Attention of several heads to earlier positions; heads, and the width within them, can be cut.

    Args:
        width: of the input and output.
        heads: how many; ``width`` is a multiple of it.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        # Kept as a number: what is left of a head that was cut is read at the scale it was trained at.
        self.scale = float((width // heads) ** -0.5)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, hidden: Tensor) -> Tensor:
        """Return ``[n, time, width]`` of the same."""
        shape = (*hidden.shape[:2], self.heads, -1)
        query, key, value = (
            part(hidden).view(shape).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=self.scale)
        result: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return result


class Block(nn.Module):
    """Attention and a feed-forward network of four times the width, each added and normalised.

    Args:
        width: of the input and output.
        heads: of the attention.
        dropout: of what either adds, in training.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention, self.attention_norm = CausalAttention(width, heads), nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return ``[n, time, width]`` of the same."""
        hidden = self.attention_norm(hidden + self.dropout(self.attention(hidden)))
        added = self.dropout(self.down(F.gelu(self.up(hidden))))
        result: Tensor = self.norm(hidden + added)
        return result


class CausalTransformer(nn.Module):
    """Token and position embeddings, blocks, and a head that shares the token embedding's weights.

    Args:
        tokens: size of the vocabulary, read and predicted.
        positions: the longest sequence.
        width: of the embeddings and blocks.
        heads: of every block.
        layers: number of blocks.
        dropout: in training.
    """

    def __init__(
        self, tokens: int, *, positions: int, width: int, heads: int, layers: int, dropout: float
    ) -> None:
        super().__init__()
        self.token, self.position = nn.Embedding(tokens, width), nn.Embedding(positions, width)
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.head = nn.Linear(width, tokens)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
        self.head.weight = self.token.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits of each next token, ``[n, time, tokens]``, of ids ``[n, time]``."""
        places = torch.arange(tokens.shape[1], device=tokens.device)
        hidden = self.dropout(self.norm(self.token(tokens) + self.position(places)))
        for block in self.blocks:
            hidden = block(hidden)
        logits: Tensor = self.head(hidden)
        return logits


def bert_small(
    *,
    classes: int = 30_522,
    width: float = 1.0,
    positions: int = 512,
    heads: int = 8,
    layers: int = 4,
    dropout: float = 0.1,
) -> CausalTransformer:
    """Return a Transformer of 4 layers, 512 wide, 8 heads; 28,530,490 parameters at BERT's 30,522 tokens.

    Args:
        classes: number of tokens.
        width: multiplies the width; the number of heads stays.
        positions: the longest sequence.
        heads: per layer.
        layers: how many.
        dropout: in training.

    Returns:
        A network from ids ``[n, time]``, at most ``positions`` long, to logits ``[n, time, classes]``.

    Raises:
        NetsmithError: no head or layer is left.

    Example:
        >>> with torch.device("meta"):
        ...     sum(parameter.numel() for parameter in bert_small().parameters())
        28530490
    """
    if min(heads, layers, positions) < 1:
        raise NetsmithError(
            f"bert-small got heads={heads}, layers={layers}, positions={positions}; each is 1 or more"
        )
    return CausalTransformer(
        classes,
        positions=positions,
        width=scaled(512, width, multiple=heads),
        heads=heads,
        layers=layers,
        dropout=dropout,
    )
