"""From text to what a language model trains on: token ids, and windows over a stream of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from netsmith.errors import DataError

UNKNOWN, END = "<unk>", "<eos>"


def words_of(text: str) -> list[str]:
    """Return the words of a text, each line ended by ``<eos>``."""
    return [word for line in text.splitlines() for word in (*line.split(), END)]


def vocabulary(words: Sequence[str], size: int | None = None) -> dict[str, int]:
    """Return ids by word, the most frequent first and ties in alphabetical order.

    Args:
        words: of the training split.
        size: how many to keep; ``<unk>`` is always one of them.

    Raises:
        DataError: size is below 2 or above the number of different words.

    >>> vocabulary("a b a <unk> c a b".split(), 3)
    {'a': 0, 'b': 1, '<unk>': 2}
    """
    counts = Counter(words)
    known = len(counts.keys() | {UNKNOWN})
    if size is not None and not 2 <= size <= known:
        raise DataError(f"a vocabulary of {size} words was asked for; give a size from 2 to {known}")
    ranked = sorted(counts.keys() - {UNKNOWN}, key=lambda word: (-counts[word], word))
    kept = [*ranked[: (size or known) - 1], UNKNOWN]
    kept.sort(key=lambda word: (-counts[word], word))
    return {word: number for number, word in enumerate(kept)}


def ids_of(words: Sequence[str], known: Mapping[str, int]) -> Tensor:
    """Return the ids of words, int64 ``[n]``; a word that is not known becomes ``<unk>``."""
    other = known[UNKNOWN]
    return torch.tensor([known.get(word, other) for word in words])


def windows(ids: Tensor, length: int, size: int | None = None) -> TensorDataset:
    """Return a stream cut into windows beside each other, with the next token as the target of each position.

    Args:
        ids: int64 ``[n]``.
        length: tokens per window; what does not fill one at the end is left out.
        size: keep only the first so many.

    Returns:
        A data set of (tokens ``[length]``, next tokens ``[length]``), both int64.

    Raises:
        DataError: no window fits, or size is not between 1 and how many do.
    """
    possible = (len(ids) - 1) // length if length >= 1 else 0
    if not possible:
        raise DataError(f"a window of {length} tokens does not fit into {len(ids)}; give a length from 1 on")
    if size is not None and not 1 <= size <= possible:
        raise DataError(f"{size} windows of {length} tokens were asked for; give a size from 1 to {possible}")
    end = (size or possible) * length
    return TensorDataset(ids[:end].view(-1, length), ids[1 : end + 1].view(-1, length))
