from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import netsmith as ns
from netsmith.errors import NetsmithError
from netsmith.scores.linear_dependency import LinearDependency, coefficients, eliminate


def data(seed: int = 0, columns: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randn(400, columns, generator=generator, dtype=torch.float64)
    return mixed @ torch.randn(columns, columns, generator=generator, dtype=torch.float64)


def least_squares(z: Tensor, unit: int, others: list[int]) -> tuple[Tensor, Tensor]:
    found = torch.linalg.lstsq(z[:, others], z[:, unit : unit + 1]).solution
    return found[:, 0], (z[:, unit] - z[:, others] @ found[:, 0]).square().mean()


def test_coefficients_are_least_squares_on_all_the_others() -> None:
    z = data()
    predictions, residuals = coefficients(z.T @ z / len(z), 0.0)
    for unit in range(8):
        others = [k for k in range(8) if k != unit]
        expected, left = least_squares(z, unit, others)
        torch.testing.assert_close(predictions[others, unit], expected, atol=1e-8, rtol=1e-8)
        assert float(residuals[unit]) == pytest.approx(float(left), rel=1e-8)
    assert not predictions.diagonal().any()


def only_the_correction_divided(predictions: Tensor, unit: int) -> Tensor:
    left = 1 - predictions[:, unit] * predictions[unit]
    return predictions + torch.outer(predictions[:, unit], predictions[unit]) / left


def test_elimination_is_least_squares_on_those_that_remain() -> None:
    z = data(1)
    predictions, residuals = coefficients(z.T @ z / len(z), 0.0)
    wrong, remaining = predictions, list(range(8))
    for gone in (5, 0, 3):
        wrong = only_the_correction_divided(wrong, gone)
        predictions, residuals = eliminate(predictions, residuals, gone)
        remaining.remove(gone)
    errors = []
    for unit in remaining:
        others = [k for k in remaining if k != unit]
        expected, left = least_squares(z, unit, others)
        torch.testing.assert_close(predictions[others, unit], expected, atol=1e-6, rtol=1e-6)
        assert float(residuals[unit]) == pytest.approx(float(left), rel=1e-6)
        errors.append(float((wrong[others, unit] - expected).abs().max()))
    assert max(errors) > 1e-2


def planted() -> tuple[nn.Sequential, Tensor]:
    """Units 4 and 5 repeat 0 and 1 (twice as large); unit 6 is dead."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)).double()
    with torch.no_grad():
        for one, of, factor in ((4, 0, 1.0), (5, 1, 2.0)):
            model[0].weight[one] = factor * model[0].weight[of]
            model[0].bias[one] = factor * model[0].bias[of]
        model[0].weight[6], model[0].bias[6] = 0, -1
    return model, torch.randn(200, 5, dtype=torch.float64)


@pytest.mark.parametrize("weighted", [True, False])
def test_of_two_that_depend_on_each_other_one_stays(weighted: bool) -> None:
    model, x = planted()
    score = LinearDependency(ridge=1e-9, weighted=weighted)
    scores = score(model, lambda m: m(x).sum(), ns.trace(model, x))["0.weight:0"]
    low = {int(i) for i in torch.nonzero(scores < 1e-3)}
    assert len(low) == 3
    assert 6 in low
    assert len(low & {0, 4}) == len(low & {1, 5}) == 1
    assert len(scores.unique()) == 7


def test_scores_do_not_depend_on_scale_or_order() -> None:
    torch.manual_seed(1)
    model, x = (
        nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).double(),
        torch.randn(300, 4).double(),
    )
    graph = ns.trace(model, x)

    def scored() -> Tensor:
        return LinearDependency()(model, lambda m: m(x).sum(), graph)["0.weight:0"]

    before, order = scored(), torch.tensor([3, 1, 5, 0, 2, 4])
    with torch.no_grad():
        model[2].weight.mul_(7)
        torch.testing.assert_close(scored(), before)
        model[0].weight.copy_(model[0].weight[order])
        model[0].bias.copy_(model[0].bias[order])
        model[2].weight.copy_(model[2].weight[:, order])
    torch.testing.assert_close(scored(), before[order])


def test_the_first_to_go_costs_what_the_score_says() -> None:
    from netsmith.cutting.compensate import compensate

    torch.manual_seed(2)
    model, x = (
        nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).double(),
        torch.randn(300, 4).double(),
    )
    graph = ns.trace(model, x)
    scores = LinearDependency(ridge=1e-12)(model, lambda m: m(x).sum(), graph)["0.weight:0"]
    keep = {"0.weight:0": scores > scores.min()}
    lost = model(x) - compensate(model, graph, keep, lambda m: m(x).sum(), ridge=0.0)(x)
    z = model[1](model[0](x))
    brought = z.var(0, correction=0) * model[2].weight.square().sum(0)
    measured = lost.square().sum(1).mean() / brought.mean()
    assert float(scores.min()) == pytest.approx(float(measured.sqrt().detach()), rel=1e-6)


def test_mistakes() -> None:
    with pytest.raises(NetsmithError, match=r"ridge=0\.0 must be above 0"):
        LinearDependency(ridge=0.0)
    model, x = planted()
    with pytest.raises(NetsmithError, match="LinearDependency needs data and got no loss"):
        LinearDependency()(model, None, ns.trace(model, x))
