from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import netsmith as ns
from netsmith.errors import NetsmithError, UnknownNameError
from netsmith.scores.majority_voting import MajorityVoting
from netsmith.scores.votes import RULES, standardised, tally, votes_of

X = torch.randn(20, 2, 6, 6, generator=torch.Generator().manual_seed(0))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 8, 3), nn.BatchNorm2d(8), nn.Tanh(), nn.Dropout(0.5), nn.Conv2d(8, 6, 3, groups=2),
        nn.ReLU(), nn.Flatten(), nn.Linear(24, 3),
    )  # fmt: skip


def loss(model: nn.Module) -> Tensor:
    return model(X).square().mean()


def inside(model: nn.Sequential) -> dict[str, Tensor]:
    """Return the mean absolute value of each channel, as the next layer reads it."""
    model.eval()
    read = model[2](model[1](model[0](X)))
    first, second = (h.abs().mean((2, 3)) for h in (read, model[5](model[4](read))))
    return {
        "0.weight:0": second.reshape(20, 2, 3).mean(2),  # a group of the convolution
        "0.weight:0#2": first.reshape(20, 2, 4).mean(1),  # j and 4 + j are read alike
        "4.weight:0": second.reshape(20, 2, 3).mean(1),
    }


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("standardise", [False, True])
def test_activations_are_compared_where_they_are_read(rule: str, standardise: bool) -> None:
    model = network()
    graph = ns.trace(model, X)
    score = MajorityVoting(rule=rule, share=0.4, standardise=standardise)  # type: ignore[arg-type]
    found = score(model.train(), loss, graph)
    assert all(module.training for module in model.modules())
    assert set(found) == set(inside(model))
    for name, h in inside(model).items():
        votes = votes_of(tally(standardised(h) if standardise else h, score.rule, 0.4), score.rule)
        torch.testing.assert_close(found[name], votes / votes.mean())
        torch.testing.assert_close(score.ballots(model, loss, graph)[name].total, votes)


def test_votes_add_up_over_the_batches_of_a_loss() -> None:
    model = network()
    graph = ns.trace(model, X)
    whole = MajorityVoting().ballots(model, loss, graph)
    parts = MajorityVoting().ballots(model, lambda m: sum(m(part).sum() for part in X.split(7)), graph)  # type: ignore[no-untyped-call]
    for name, ballot in whole.items():
        torch.testing.assert_close(parts[name].votes, ballot.votes)
        assert ballot.examples.tolist() == [20.0]


def test_functions_count_as_layers_and_what_nobody_reads_scores_ones() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 6), nn.Parameter(torch.randn(3, 6))
            self.scale = nn.Parameter(torch.randn(5, 4))
            self.last = nn.Parameter(torch.randn(5, 2))

        def forward(self, x: Tensor) -> Tensor:
            seen = nn.functional.linear(self.first(x).relu(), self.second)
            return seen[:, :2] + (x @ self.scale.T) @ self.last

    torch.manual_seed(0)
    model, x = Functional(), torch.randn(9, 4)
    graph = ns.trace(model, x)
    score = MajorityVoting()
    h = model.first(x).relu()
    ballots = score.ballots(model, lambda m: m(x).sum(), graph)
    torch.testing.assert_close(ballots["first.weight:0"].total, tally(h, "winner"))
    scores = score(model, lambda m: m(x).sum(), graph)
    assert scores["scale:0"].tolist() == [1.0] * 5


def test_classes_count_alike_and_keep_their_first() -> None:
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.ReLU(), nn.Linear(3, 2))
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(3))
    x = torch.eye(3)[[0] * 90 + [1] * 6 + [2] * 4]
    targets = torch.tensor([0] * 90 + [1] * 10)
    graph = ns.trace(model, x)
    plain = MajorityVoting()(model, lambda m: m(x).sum(), graph)["0.weight:0"]
    torch.testing.assert_close(plain, 3 * torch.tensor([0.9, 0.06, 0.04]).double())
    fair = MajorityVoting(targets=targets)
    ballot = fair.ballots(model, lambda m: m(x).sum(), graph)["0.weight:0"]
    assert ballot.votes.tolist() == [[90, 0, 0], [0, 6, 4]]
    expected = 3 * torch.tensor([0.5, 0.3, 0.2]).double()
    expected[:2] += expected.max()
    torch.testing.assert_close(fair(model, lambda m: m(x).sum(), graph)["0.weight:0"], expected)
    with pytest.raises(NetsmithError, match="targets has 100 class ids and the model was run on 50 examples"):
        fair(model, lambda m: m(x[:50]).sum(), graph)


def test_a_dead_layer_scores_ones_and_positions_are_averaged() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    x = torch.randn(5, 7, 3)
    graph = ns.trace(model, x)
    h = model[1](model[0](x)).mean(1)
    ballot = MajorityVoting(rule="mean").ballots(model, lambda m: m(x).sum(), graph)["0.weight:0"]
    torch.testing.assert_close(ballot.total, tally(h, "mean"))
    with torch.no_grad():
        model[0].bias.fill_(-100)
    assert MajorityVoting()(model, lambda m: m(x).sum(), graph)["0.weight:0"].tolist() == [1.0] * 4


def test_mistakes() -> None:
    model = network()
    graph = ns.trace(model, X)
    with pytest.raises(UnknownNameError, match="unknown rule for votes 'winners'; did you mean winner"):
        MajorityVoting(rule="winners")  # type: ignore[arg-type]
    with pytest.raises(NetsmithError, match="share=0 of the channels to vote for"):
        MajorityVoting(share=0)
    with pytest.raises(NetsmithError, match="the score MajorityVoting needs data and got no loss"):
        MajorityVoting()(model, None, graph)
    with pytest.raises(NetsmithError, match="no example voted, because the loss did not run the model"):
        MajorityVoting()(model, lambda m: torch.zeros(()), graph)
