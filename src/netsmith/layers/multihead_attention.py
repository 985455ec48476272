"""Multi-head attention whose heads need not fill the width of its input."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MultiheadAttention(nn.MultiheadAttention):
    """``torch.nn.MultiheadAttention`` with any number of heads of any width.

    ``softmax(scale * q k^T + mask) v`` per head, as in Vaswani et al. (2017, arXiv:1706.03762). The class of
    PyTorch asserts that heads x head width is the width of its input, so that no head of it can go. This one
    reads every width off its weights; a cut ``torch.nn.MultiheadAttention`` becomes one. Constructor,
    arguments, results and ``state_dict`` are the parent's.

    ``scale`` is what the scores are multiplied with; ``None`` stands for one over the square root of
    ``embed_dim / num_heads``. A cut keeps the scale that the weights were trained with.

    Example:
        >>> import torch
        >>> attention = MultiheadAttention(8, 2, batch_first=True)
        >>> attention(*[torch.zeros(1, 5, 8)] * 3)[0].shape
        torch.Size([1, 5, 8])
    """

    scale: float | None = None

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend from ``query`` to ``key`` and ``value``; see ``torch.nn.MultiheadAttention.forward``.

        Raises:
            RuntimeError: ``is_causal`` without ``attn_mask``, as from the parent.
        """
        if is_causal and attn_mask is None:
            raise RuntimeError("is_causal=True is a hint about attn_mask; give the mask as well")
        batched = query.dim() == 3
        q, k, v = self._project(query, key, value)
        if not batched:
            q, k, v = (tensor.unsqueeze(0) for tensor in (q, k, v))
        elif not self.batch_first:
            q, k, v = (tensor.transpose(0, 1) for tensor in (q, k, v))
        if self.bias_k is not None and self.bias_v is not None:
            k = torch.cat([k, self.bias_k.expand(k.shape[0], -1, -1)], dim=1)
            v = torch.cat([v, self.bias_v.expand(v.shape[0], -1, -1)], dim=1)
        q, k, v = (
            tensor.reshape(*tensor.shape[:2], self.num_heads, -1).transpose(1, 2) for tensor in (q, k, v)
        )
        if self.add_zero_attn:
            k, v = F.pad(k, (0, 0, 0, 1)), F.pad(v, (0, 0, 0, 1))
        mask = self._mask(attn_mask, key_padding_mask if batched else _lifted(key_padding_mask), q, k)
        mixed, weights = self._attend(q, k, v, mask, need_weights)
        output = F.linear(mixed.transpose(1, 2).flatten(2), self.out_proj.weight, self.out_proj.bias)
        if weights is not None and average_attn_weights:
            weights = weights.mean(dim=1)
        if not batched:
            return output.squeeze(0), None if weights is None else weights.squeeze(0)
        return output if self.batch_first else output.transpose(0, 1), weights

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
        bias = self.in_proj_bias
        if self.in_proj_weight is not None and query is key and key is value:
            return F.linear(query, self.in_proj_weight, bias).chunk(3, dim=-1)
        weights = (
            (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
            if self.in_proj_weight is None
            else self.in_proj_weight.chunk(3)
        )
        biases = (None, None, None) if bias is None else bias.chunk(3)
        tensors = (query, key, value)
        return tuple(F.linear(x, w, b) for x, w, b in zip(tensors, weights, biases, strict=True))

    def _mask(self, attention: Tensor | None, padding: Tensor | None, q: Tensor, k: Tensor) -> Tensor | None:
        """Return what is added to the scores, broadcastable to ``[batch, heads, queries, keys]``."""
        masks = []
        if attention is not None:
            shape = (q.shape[0], -1) if attention.dim() == 3 else (1, 1)
            masks.append(_added(attention, q.dtype).reshape(*shape, *attention.shape[-2:]))
        if padding is not None:
            masks.append(_added(padding, q.dtype)[:, None, None, :])
        if not masks:
            return None
        # What bias_k and add_zero_attn lay behind the keys is always seen.
        masks = [F.pad(mask, (0, k.shape[2] - mask.shape[-1])) for mask in masks]
        return masks[0] if len(masks) == 1 else masks[0] + masks[1]

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        # Plain integers: the scale belongs to the trained weights and stays when heads or their width change.
        scale = self.scale or (int(self.num_heads) / int(self.embed_dim)) ** 0.5
        dropout = self.dropout if self.training else 0.0
        if not need_weights:
            return F.scaled_dot_product_attention(q, k, v, mask, dropout, scale=scale), None
        scores = (q * scale) @ k.transpose(-2, -1)
        weights = F.softmax(scores if mask is None else scores + mask, dim=-1)
        return F.dropout(weights, dropout, self.training) @ v, weights


def _added(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a mask as numbers to add: minus infinity where a boolean one says "hidden"."""
    if mask.dtype is not torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=dtype).masked_fill_(mask, float("-inf"))


def _lifted(mask: Tensor | None) -> Tensor | None:
    return None if mask is None else mask.unsqueeze(0)
