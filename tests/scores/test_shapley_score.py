from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import netsmith as ns
from netsmith.analysis import enumerate_coalitions, exact_shapley
from netsmith.edits import remove
from netsmith.errors import NetsmithError
from netsmith.scores.shapley import Shapley

X = torch.randn(16, 2, 6, 6, generator=torch.Generator().manual_seed(0))
Y = torch.randint(3, (16,), generator=torch.Generator().manual_seed(1))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Sigmoid(), nn.Conv2d(4, 3, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(12, 3),
    ).double()  # fmt: skip


def loss(model: nn.Module) -> Tensor:
    return nn.functional.cross_entropy(model(X.double()), Y)


def test_players_are_the_channels_of_networks_that_are_really_smaller() -> None:
    model = network().eval()
    graph = ns.trace(model, X.double())
    scores = Shapley(method="exact")(model, loss, graph)
    for group, reader in zip(graph.groups, (model[3], model[6]), strict=True):
        worths = []
        for keep in enumerate_coalitions(group.size):
            if keep.any():
                worths.append(-loss(remove(model, graph, {group.name: keep})[0].eval()))
            else:
                kept = reader.weight.detach().clone()
                with torch.no_grad():
                    reader.weight.zero_()
                    worths.append(-loss(model))
                    reader.weight.copy_(kept)
        expected = exact_shapley(torch.stack(worths).detach())
        torch.testing.assert_close(scores[group.name], expected, atol=1e-9, rtol=1e-6)


def test_sampling_comes_close_and_knows_how_close() -> None:
    model = network().eval()
    graph = ns.trace(model, X.double())
    score = Shapley(coalitions=64)
    found, exact = score(model, loss, graph), Shapley(method="exact")(model, loss, graph)
    for name, values in found.items():
        assert bool(((values - exact[name]).abs() <= 5 * score.errors[name] + 1e-6).all())
    again = Shapley(coalitions=64)(model, loss, graph)
    assert all(torch.equal(again[name], values) for name, values in found.items())


def test_a_channel_that_no_one_reads_scores_nothing_and_a_harmful_one_less() -> None:
    model = nn.Sequential(nn.Linear(1, 3), nn.ReLU(), nn.Linear(3, 1)).double()
    with torch.no_grad():
        model[0].weight.fill_(1.0)
        model[0].bias.zero_()
        model[2].weight.copy_(torch.tensor([[1.0, 0.0, -0.25]]))
        model[2].bias.zero_()
    x = torch.rand(32, 1, dtype=torch.float64) + 0.5
    scores = Shapley(method="exact")(model, lambda m: (m(x) - x).square().mean(), ns.trace(model, x))
    useful, unread, harmful = scores["0.weight:0"].tolist()
    assert useful > 0 == unread > harmful


def test_mistakes() -> None:
    model = network()
    graph = ns.trace(model, X.double())
    with pytest.raises(NetsmithError, match="coalitions=0; the score Shapley needs at least 1"):
        Shapley(coalitions=0)
    with pytest.raises(NetsmithError, match="the score Shapley needs data and got no loss"):
        Shapley()(model, None, graph)
    with pytest.raises(NetsmithError, match="the loss for the score Shapley returned a tensor of shape"):
        Shapley()(model, lambda m: m(X.double()), graph)
    with pytest.raises(NetsmithError, match="NaN or infinity"):
        Shapley()(model, lambda m: m(X.double()).sum() * torch.nan, graph)
