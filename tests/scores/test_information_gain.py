from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrize import register_parametrization

from netsmith.cutting.shrink import shrink
from netsmith.errors import NetsmithError
from netsmith.graph import trace
from netsmith.scores.information_gain import InformationGain


def mlp(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 9), nn.Tanh(), nn.Linear(9, 5))


def cnn(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.Sigmoid(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(8, 6, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6 * 16, 4),
    )


class Raw(nn.Module):
    """Reads through a raw parameter, which no module can be hooked for."""

    def __init__(self, other: nn.Sequential) -> None:
        super().__init__()
        self.first = other[0]
        self.weight, self.bias = other[2].weight, other[2].bias
        self.last = other[4]

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.relu(self.first(x))
        return self.last(torch.tanh(hidden @ self.weight.t() + self.bias))


class Negated(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return -weight


def gain(model: nn.Module, inputs: Any, **options: Any) -> dict[str, Tensor]:
    return InformationGain(inputs, **options)(model, None, trace(model, inputs))


def divergence(p: Tensor, q: Tensor) -> float:
    p, q = p.detach().double().softmax(-1), q.detach().double().softmax(-1)
    return float((p * (p / q).log()).sum(-1).mean())


def test_exact_is_the_divergence_when_one_channel_is_removed() -> None:
    for model, inputs in ((mlp(), torch.randn(30, 12)), (cnn().eval(), torch.randn(10, 2, 4, 4))):
        graph = trace(model, inputs)
        found = gain(model, inputs, method="exact", batch_size=8)
        for group in graph.groups:
            for channel in range(group.size):
                scores = {one.name: torch.ones(one.size) for one in graph.groups}
                scores[group.name][channel] = 0
                small = shrink(model, inputs, ratio=1 / sum(g.size for g in graph.groups), score=scores)
                assert found[group.name][channel] == pytest.approx(
                    divergence(model(inputs), small(inputs)), rel=1e-3, abs=2e-7
                )


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_fisher_is_the_definition_by_autograd(temperature: float) -> None:
    model, inputs = mlp(), torch.randn(7, 12)

    def log_p(gate: Tensor, x: Tensor) -> Tensor:
        hidden = model[1](model[0](x))
        return (model[4](model[3](model[2](hidden * gate))) / temperature).log_softmax(-1)

    found = gain(model, inputs, temperature=temperature)["0.weight:0"]
    expected = torch.zeros(20)
    for x in inputs:
        slopes = torch.autograd.functional.jacobian(lambda gate, x=x: log_p(gate, x), torch.ones(20))
        expected += 0.5 * log_p(torch.ones(20), x).exp().detach() @ slopes.square() / len(inputs)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-8)


def test_modules_raw_and_parametrized_weights_agree() -> None:
    inputs = torch.randn(9, 12)
    expected = list(gain(mlp(), inputs).values())
    parametrized = mlp()
    register_parametrization(parametrized[2], "weight", Negated())
    with torch.no_grad():
        parametrized[2].parametrizations.weight.original.neg_()
    for model in (Raw(mlp()), parametrized):
        found = sorted(gain(model, inputs).values(), key=len, reverse=True)
        for got, want in zip(found, expected, strict=True):
            torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-8)


def test_samples_in_another_dimension_are_gated_one_by_one() -> None:
    class Folded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp()

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x.view(-1, 12)).view(len(x), 2, -1).sum(1)

    model, inputs = Folded(), torch.randn(5, 2, 12)
    whole = gain(model, inputs)
    singly = [gain(model, one.unsqueeze(0)) for one in inputs]
    for name, got in whole.items():
        torch.testing.assert_close(got, sum(one[name] for one in singly) / 5, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("method", ["exact", "fisher"])
def test_a_channel_nobody_reads_scores_zero(method: Any) -> None:
    model = mlp()
    with torch.no_grad():
        model[2].weight[:, 4] = 0
    scores = gain(model, torch.randn(16, 12), method=method)["0.weight:0"]
    assert scores[4] == 0
    assert (scores > 0).sum() > 10


@pytest.mark.parametrize("method", ["exact", "fisher"])
def test_a_duplicate_with_halved_readers_scores_lower(method: Any) -> None:
    model, inputs = mlp(), torch.randn(64, 12)
    best = int(gain(model, inputs, method=method)["0.weight:0"].argmax())
    before = gain(model, inputs, method=method)["0.weight:0"][best]
    twin = nn.Sequential(nn.Linear(12, 21), nn.ReLU(), nn.Linear(21, 9), *model[3:])
    with torch.no_grad():
        twin[0].weight.copy_(torch.cat([model[0].weight, model[0].weight[best : best + 1]]))
        twin[0].bias.copy_(torch.cat([model[0].bias, model[0].bias[best : best + 1]]))
        twin[2].weight.copy_(torch.cat([model[2].weight, model[2].weight[:, best : best + 1]], 1))
        twin[2].weight[:, [best, 20]] *= 0.5
        twin[2].bias.copy_(model[2].bias)
    torch.testing.assert_close(twin(inputs), model(inputs))
    after = gain(twin, inputs, method=method)["0.weight:0"]
    assert after[best] == pytest.approx(float(after[20]), rel=1e-4)
    assert after[best] < 0.5 * before


def test_fisher_ranks_like_exact() -> None:
    inputs = torch.randn(100, 12)
    exact, fisher = gain(mlp(), inputs, method="exact"), gain(mlp(), inputs)
    for name in exact:
        assert spearmanr(exact[name], fisher[name]).statistic > 0.95


def test_drawn_classes_are_unbiased_and_seeded() -> None:
    inputs = torch.randn(40, 12)
    full, drawn = gain(mlp(), inputs), gain(mlp(), inputs, draws=400)
    for name in full:
        torch.testing.assert_close(drawn[name], full[name], rtol=0.15, atol=1e-4)
    again = gain(mlp(), inputs, draws=400)
    assert all(torch.equal(drawn[name], again[name]) for name in full)


def test_batches_make_no_difference_and_inputs_may_be_tuple_or_dict() -> None:
    model, inputs = nn.Sequential(OrderedDict(mlp().named_children())), torch.randn(10, 12)
    whole = gain(model, inputs)
    for other in (gain(model, inputs, batch_size=3), gain(model, (inputs,)), gain(model, {"input": inputs})):
        for name, want in whole.items():
            torch.testing.assert_close(other[name], want, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("method", ["exact", "fisher"])
@pytest.mark.parametrize("fails", [False, True])
def test_everything_is_left_as_found(method: Any, fails: bool) -> None:
    model, inputs = cnn(), torch.randn(6, 2, 4, 4)
    model[1].eval()
    graph = trace(model, inputs)
    model[0].weight.grad = torch.ones_like(model[0].weight)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random = torch.random.get_rng_state()
    if fails:
        handle = model[5].register_forward_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("broken")))
        with pytest.raises(RuntimeError, match="broken"):
            InformationGain(inputs, method=method)(model, None, graph)
        handle.remove()
    else:
        InformationGain(inputs, method=method)(model, None, graph)
    assert [module.training for module in model] == [True, False, *[True] * 6]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(model[0].weight.grad, torch.ones_like(model[0].weight))
    assert all(p.grad is None for name, p in model.named_parameters() if name != "0.weight")
    assert all(p.requires_grad for p in model.parameters())
    assert all(not m._forward_pre_hooks and not m._forward_hooks for m in model.modules())
    assert torch.equal(random, torch.random.get_rng_state())


def test_it_works_without_gradients_and_on_frozen_weights() -> None:
    model, inputs = mlp(), torch.randn(8, 12)
    expected = gain(model, inputs)
    graph = trace(model, inputs)
    with torch.no_grad():
        got = InformationGain(inputs)(model.requires_grad_(False), None, graph)
    assert all(torch.equal(got[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "magic"}, "unknown method 'magic'"),
        ({"temperature": 0.0}, "temperature is 0"),
        ({"draws": 0}, "draws is 0"),
        ({"inputs": torch.zeros(0, 3)}, "needs samples and got none"),
    ],
)
def test_mistakes(options: dict[str, Any], message: str) -> None:
    with pytest.raises(NetsmithError, match=message):
        InformationGain(**{"inputs": torch.zeros(2, 3), **options})


def test_an_output_that_is_no_row_of_logits_is_refused() -> None:
    model, inputs = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), torch.randn(6, 5, 3)
    with pytest.raises(NetsmithError, match=r"expected \[samples, classes\]; give draws=1"):
        gain(model, inputs)
    assert gain(model, inputs, draws=2)["0.weight:0"].shape == (4,)
    flat = nn.Sequential(*model, nn.Flatten(0))
    with pytest.raises(NetsmithError, match="whose output is logits"):
        gain(flat, inputs, method="exact")
