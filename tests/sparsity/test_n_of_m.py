from __future__ import annotations

import itertools

import pytest
import torch

from netsmith.errors import NetsmithError
from netsmith.sparsity import n_of_m_bits, n_of_m_mask


@pytest.mark.parametrize(("n", "m", "dim"), [(2, 4, 1), (1, 4, 0), (4, 8, 1), (1, 2, 2)])
def test_every_block_keeps_the_n_that_weigh_most(n: int, m: int, dim: int) -> None:
    scores = torch.rand(8, 16, 4)
    mask = n_of_m_mask(scores, n, m, dim=dim)
    blocks = scores.movedim(dim, -1).reshape(-1, m)
    kept = mask.movedim(dim, -1).reshape(-1, m)
    assert (kept.sum(1) == n).all()
    for values, chosen in zip(blocks, kept, strict=True):
        best = max(float(values[list(some)].sum()) for some in itertools.combinations(range(m), n))
        assert float(values[chosen].sum()) == pytest.approx(best)


def test_ties_keep_exactly_n() -> None:
    assert n_of_m_mask(torch.zeros(3, 8)).sum() == 12


def test_bits() -> None:
    assert n_of_m_bits(512, 4, 16) == 512 * 18


def test_mistakes() -> None:
    with pytest.raises(NetsmithError, match=r"dimension 1 of shape \(3, 6\) is not divisible by 4"):
        n_of_m_mask(torch.zeros(3, 6))
    with pytest.raises(NetsmithError, match="5:4 sparsity makes no sense"):
        n_of_m_mask(torch.zeros(3, 8), 5, 4)
