"""Folding a weight of a linear or convolutional layer to matrices, whose rows or columns are the groups.

PyTorch stores ``[out, in, *kernel]``; a fold keeps outputs in the rows and inputs in the columns:

=========  ==============================  ===========================================================
fold       matrices                        columns (axis ``"in"``) and rows (axis ``"out"``)
=========  ==============================  ===========================================================
channel    ``[out, in]``, cell = kernel    an input channel with all its kernels; an output filter
full       ``[out, in·kh·kw]``             one tap of one input channel; an output filter
partial    ``[out·kh, in·kw]``             a kernel column of an input channel; a kernel row of a filter
filter     ``out`` times ``[kh·kw, in]``   per filter, each with the whole radius: an input channel; a tap
=========  ==============================  ===========================================================

Only the groups of ``"channel"`` are channels, so it is the fold to use where channels are to be removed.

On a linear weight ``[out, in]`` channel and full are the weight itself: axis ``"in"`` groups what one input
feature feeds (a column), axis ``"out"`` what one neuron reads (a row). Papers that write ``x W`` transpose
this. Transposed convolutions store ``[in, out, *kernel]``: swap the axis.
"""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor

from netsmith.errors import NetsmithError, UnknownNameError

Axis = Literal["in", "out"]
Fold = Literal["channel", "full", "partial", "filter"]
_SHAPES = {"channel": "[out, in, ...]", "full": "[out, in, ...]", "partial": "[out, in, kh, kw]"}
_SHAPES["filter"] = "[out, in, k, ...]"


def check_names(axis: str, fold: str) -> None:
    """Raise :class:`UnknownNameError` unless both are names of this module."""
    if axis not in ("in", "out"):
        raise UnknownNameError("axis", axis, ("in", "out"))
    if fold not in _SHAPES:
        raise UnknownNameError("fold", fold, _SHAPES)


def fold_weight(tensor: Tensor, fold: Fold, batch_dims: int = 0) -> tuple[Tensor, int]:
    """Fold a weight to matrices.

    Returns:
        ``[*batch, rows, columns]`` (with a last dimension for the kernel if the fold is ``"channel"``), and
        the number of its leading batch dimensions (one more than given if the fold is ``"filter"``).

    Raises:
        NetsmithError: the shape has too few or too many dimensions for the fold.
    """
    batch, shape = tensor.shape[:batch_dims], tensor.shape[batch_dims:]
    dims = len(shape)
    if not {"channel": dims >= 2, "full": dims >= 2, "partial": dims == 4, "filter": dims >= 3}[fold]:
        raise NetsmithError(
            f"fold {fold!r} does not fit a weight of shape {tuple(shape)}, expected {_SHAPES[fold]}; "
            "choose another fold, or leave this parameter out with select"
        )
    out, into, taps = shape[0], shape[1], math.prod(shape[2:])
    if fold == "channel":
        return tensor.reshape(*batch, out, into, taps), batch_dims
    if fold == "full":
        return tensor.reshape(*batch, out, into * taps), batch_dims
    if fold == "partial":
        rows_first = tensor.transpose(-3, -2)
        return rows_first.reshape(*batch, out * shape[2], into * shape[3]), batch_dims
    return tensor.reshape(*batch, out, into, taps).transpose(-1, -2), batch_dims + 1


def unfold_weight(folded: Tensor, fold: Fold, like: Tensor) -> Tensor:
    """Undo :func:`fold_weight`: back to the shape of ``like``."""
    if fold == "partial":
        *batch, out, into, height, width = like.shape
        return folded.reshape(*batch, out, height, into, width).transpose(-3, -2)
    if fold == "filter":
        return folded.transpose(-1, -2).reshape(like.shape)
    return folded.reshape(like.shape)
