from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from netsmith.searches.interpolation import interpolate_channels, interpolation_matrix, mapped


def by_a_loop(x: torch.Tensor, channels: int) -> torch.Tensor:
    before = x.shape[1]
    made = []
    for target in range(channels):
        start, stop = math.floor(target * before / channels), math.ceil((target + 1) * before / channels)
        made.append(sum(x[:, one] for one in range(start, stop)) / (stop - start))
    return torch.stack(made, dim=1)


def test_every_pair_of_widths_gives_what_a_loop_over_channels_gives():
    noise = torch.Generator().manual_seed(0)
    for before in range(1, 21):
        x = torch.randn(2, before, 3, 2, generator=noise)
        for channels in range(1, 21):
            torch.testing.assert_close(
                interpolate_channels(x, channels), by_a_loop(x, channels), rtol=0, atol=1e-6
            )


def test_it_is_adaptive_average_pooling_along_the_channels():
    x = torch.randn(3, 10, 7)
    pooled = F.adaptive_avg_pool1d(x.transpose(1, 2), 4).transpose(1, 2)
    torch.testing.assert_close(interpolate_channels(x, 4), pooled)


def test_same_number_of_channels_is_the_same_tensor():
    x = torch.randn(2, 5, 3, 3)
    assert interpolate_channels(x, 5) is x


def test_mean_over_channels_stays_where_the_new_number_divides_the_old():
    x = torch.randn(4, 12, 2, 2, dtype=torch.float64)
    for channels in (1, 2, 3, 4, 6):
        torch.testing.assert_close(interpolate_channels(x, channels).mean(1), x.mean(1))


def test_it_is_linear():
    x, y = torch.randn(2, 2, 7, 3, 3, dtype=torch.float64)
    both = interpolate_channels(2 * x - 3 * y, 5)
    torch.testing.assert_close(both, 2 * interpolate_channels(x, 5) - 3 * interpolate_channels(y, 5))


@pytest.mark.parametrize(
    ("shape", "dim"), [((2, 6), 1), ((2, 6, 5), 1), ((2, 3, 6), -1), ((2, 6, 2, 2, 2), 1), ((6, 2, 3, 4), 0)]
)
def test_a_matrix_applies_along_any_dimension_of_any_shape(shape, dim):
    x, matrix = torch.randn(shape), torch.randn(4, 6)
    expected = torch.einsum("nc,...c->...n", matrix, x.movedim(dim, -1)).movedim(-1, dim)
    torch.testing.assert_close(mapped(x, matrix, dim), expected)


def test_a_matrix_that_is_changed_is_not_the_one_kept():
    interpolation_matrix(2, 3).zero_()
    assert interpolation_matrix(2, 3)[1].tolist() == [0.5, 0.5]
