"""Shrinking in depth: budgets count what goes with a block, and what is left is exact."""

import copy

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.errors import EditError
from netsmith.layers import PassThrough, Residual


def body(width, hidden):
    return nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, width))


def made():
    torch.manual_seed(0)
    blocks = [Residual(body(6, 10)) for _ in range(3)]
    return nn.Sequential(nn.Linear(4, 6), *blocks, nn.Linear(6, 3)).double()


X = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def gone(model):
    return [name for name, module in model.named_modules() if isinstance(module, PassThrough)]


def scaled(block, factor):
    model = made()
    with torch.no_grad():
        for parameter in model[block].parameters():
            parameter.mul_(factor)
    return model


def largest(model, loss, graph):
    """The largest entry of the weights that make a channel: unlike shares of a layer, it compares layers."""
    parameters = dict(model.named_parameters())

    def of(group):
        made = [item for item in group.slices if item.role == "out"]
        rows = [parameters[s.tensor].detach().flatten(1).abs().amax(1)[s.index[:, 0]] for s in made[:1]]
        return rows[0]

    return {group.name: of(group) for group in graph.groups}


def test_the_block_that_matters_least_goes_first():
    assert gone(ns.shrink(scaled(2, 0.01), X, ratio=0.25, depth=True, score=largest)) == ["2"]
    assert gone(ns.shrink(scaled(3, 0.01), X, ratio=0.25, depth=True, score=largest)) == ["3"]
    assert gone(ns.shrink(scaled(2, 0.01), X, ratio=0.25, score=largest)) == []


@pytest.mark.parametrize("scope", ["global", "local"])
@pytest.mark.parametrize("kind", ["macs", "params"])
@pytest.mark.parametrize("share", [0.8, 0.5, 0.2])
def test_budgets_hold_and_are_not_overshot_by_more_than_a_step(share, kind, scope):
    model = scaled(1, 0.1)
    small = ns.shrink(model, X, budget=ns.Budget(**{kind: share}), depth=True, scope=scope, score=largest)
    before, after = ns.profile(model, X).total[kind], ns.profile(small, X).total[kind]
    block = sum(p.numel() for p in model[1].parameters()) * (5 if kind == "macs" else 1)
    assert share * before - block <= after <= share * before


def test_result_is_the_masked_original_without_the_blocks():
    model = scaled(3, 0.05).eval()
    small = ns.shrink(model, X, ratio=0.5, depth=True, score=largest)
    bypassed, removed = ns.records(small)
    assert list(bypassed["blocks"]) == gone(small) != []
    oracle = copy.deepcopy(model)
    for name in gone(small):
        oracle.get_submodule(name).register_forward_hook(lambda module, args, output: args[0])
    with torch.no_grad():
        for group in ns.trace(model, X).groups:
            for item in group.slices:
                cuts = removed["tensors"].get(item.tensor, {}).get(str(item.dim))
                if item.role == "in" and cuts is not None:
                    lost = [i for i in item.index.flatten().tolist() if i not in cuts]
                    oracle.get_parameter(item.tensor).index_fill_(
                        item.dim, torch.tensor(lost, dtype=torch.long), 0
                    )
        torch.testing.assert_close(small(X), oracle(X), rtol=1e-10, atol=1e-12)


def test_in_place_and_replayed():
    model = scaled(3, 0.05)
    small = ns.shrink(model, X, ratio=0.5, depth=True, score=largest)
    again = ns.replay(scaled(3, 0.05), ns.records(small))
    assert torch.equal(again(X), small(X))
    same = ns.shrink(model, X, ratio=0.5, depth=True, score=largest, inplace=True)
    assert same is model
    assert torch.equal(model(X), small(X))
    assert [record["kind"] for record in ns.records(model)] == ["bypass", "remove"]


def test_in_place_gives_the_blocks_back_when_the_proof_fails(monkeypatch):
    model = scaled(3, 0.05)
    before, output = str(model), model(X)

    def refuse(*_):
        raise EditError("no")

    monkeypatch.setattr("netsmith.cutting.shrink.check_against", refuse)
    with pytest.raises(EditError, match="no"):
        ns.shrink(model, X, ratio=0.5, depth=True, score=largest, inplace=True)
    assert str(model) == before
    assert torch.equal(model(X), output)
    assert ns.records(model) == []


def test_protected_blocks_stay():
    assert "2" not in gone(ns.shrink(scaled(2, 0.01), X, ratio=0.4, depth=True, protect=["2"]))


@pytest.mark.parametrize("name", ["resnet20", "mobilenetv2"])
def test_zoo_networks_reach_their_budget(name):
    torch.manual_seed(0)
    model = ns.zoo.build(name, classes=4, input_shape=(3, 16, 16), width=0.5)
    x = torch.randn(1, 3, 16, 16)
    small = ns.shrink(model, x, budget=ns.Budget(macs=0.4), depth=True, scope="local")
    assert gone(small)
    assert ns.profile(small, x).total["macs"] <= 0.4 * ns.profile(model, x).total["macs"]
