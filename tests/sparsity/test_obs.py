from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from netsmith.errors import NetsmithError
from netsmith.sparsity import optimal_brain_surgeon


def quadratic(size: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(size, 2 * size, generator=generator, dtype=torch.float64)
    return torch.randn(size, generator=generator, dtype=torch.float64), root @ root.t()


def refitted(minimum: Tensor, hessian: Tensor, removed: tuple[int, ...]) -> tuple[Tensor, float]:
    """The best weights with some at zero, by solving for the others, and their loss."""
    kept = [one for one in range(len(minimum)) if one not in removed]
    best = torch.zeros_like(minimum)
    best[kept] = torch.linalg.solve(hessian[kept][:, kept], (hessian @ minimum)[kept])
    change = best - minimum
    return best, float(0.5 * change @ hessian @ change)


def test_one_removal_is_the_best_of_all_with_optimal_refit() -> None:
    minimum, hessian = quadratic(7)
    left, increase = optimal_brain_surgeon(minimum, hessian, 1)
    options = [refitted(minimum, hessian, (one,)) for one in range(7)]
    best, loss = min(options, key=lambda option: option[1])
    assert increase == pytest.approx(loss, rel=1e-10)
    torch.testing.assert_close(left, best, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("count", [2, 4, 6, 7])
def test_several_removals_are_optimally_refitted_and_their_costs_add_up(count: int) -> None:
    minimum, hessian = quadratic(7, count)
    left, increase = optimal_brain_surgeon(minimum, hessian, count)
    removed = tuple(int(one) for one in (left == 0).nonzero().flatten())
    assert len(removed) == count
    best, loss = refitted(minimum, hessian, removed)
    torch.testing.assert_close(left, best, rtol=1e-8, atol=1e-9)
    assert increase == pytest.approx(loss, rel=1e-8)
    cheapest = min(refitted(minimum, hessian, some)[1] for some in itertools.combinations(range(7), count))
    assert loss >= cheapest * (1 - 1e-9)


def test_nothing_removed_changes_nothing() -> None:
    minimum, hessian = quadratic(4)
    left, increase = optimal_brain_surgeon(minimum, hessian, 0)
    assert torch.equal(left, minimum)
    assert increase == 0
    assert left.data_ptr() != minimum.data_ptr()


def test_a_singular_hessian_needs_damping() -> None:
    minimum, row = torch.randn(5), torch.randn(5)
    singular = torch.outer(row, row)
    with pytest.raises(NetsmithError, match="singular or not positive definite; give damping"):
        optimal_brain_surgeon(minimum, singular, 2)
    left, _ = optimal_brain_surgeon(minimum, singular, 2, damping=0.01)
    assert (left == 0).sum() == 2


def test_mistakes() -> None:
    with pytest.raises(NetsmithError, match=r"weights \(3,\) and Hessian \(2, 2\) do not fit"):
        optimal_brain_surgeon(torch.ones(3), torch.eye(2), 1)
    with pytest.raises(NetsmithError, match="count is 4; expected from 0 to the 3"):
        optimal_brain_surgeon(torch.ones(3), torch.eye(3), 4)
