from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from search_models import X, grouped
from torch.utils.data import Subset, TensorDataset

import netsmith as ns
from netsmith.clock import Clock
from netsmith.errors import DataError, NetsmithError
from netsmith.searches import Alternation, Paired, TransformableSearch, halves
from netsmith.train import default_optimizer, fit

NOISE = torch.Generator().manual_seed(0)
DATA = TensorDataset(torch.randn(41, 3, 8, 8, generator=NOISE), torch.randint(4, (41,), generator=NOISE))


def task_loss(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1])


def searching(**settings):
    torch.manual_seed(0)
    search = TransformableSearch(grouped(), X, budget=ns.Budget(macs=0.5), depth=False)
    return search, Alternation(search, task_loss, **settings)


def test_halves_share_nothing_and_give_a_batch_of_each():
    pairs = halves(DATA, seed=3)
    assert len(pairs) == 21
    assert sorted([*pairs.weights.indices, *pairs.structure.indices]) == list(range(41))
    (first, second), (targets, others) = pairs.collate([0, 5, 20])
    for data, inputs, labels in ((pairs.weights, first, targets), (pairs.structure, second, others)):
        rows = [data.indices[row % len(data)] for row in (0, 5, 20)]
        assert torch.equal(inputs, DATA.tensors[0][rows])
        assert torch.equal(labels, DATA.tensors[1][rows])
    assert halves(DATA, seed=3).weights.indices == pairs.weights.indices != halves(DATA).weights.indices


def test_halves_that_overlap_are_refused():
    with pytest.raises(DataError, match="share 41 samples"):
        Paired(DATA, DATA)
    with pytest.raises(DataError, match="share 2 samples"):
        Paired(Subset(DATA, [0, 1, 2]), Subset(DATA, [1, 2, 3]))
    with pytest.raises(DataError, match="no samples"):
        Paired(Subset(DATA, [0]), Subset(DATA, []))


def test_each_step_changes_its_own_parameters_alone():
    search, steps = searching(learning_rate=0.1)
    batch = halves(DATA).collate(range(8))
    weights = copy.deepcopy(search.network.state_dict())
    logits = [one.detach().clone() for one in search.structure()]
    steps.loss(search.train(), batch).backward()
    assert all(one.grad is None and one.requires_grad for one in search.structure())
    gradients = [p.grad for p in search.network.parameters() if p.grad is not None]
    assert gradients
    before = [gradient.clone() for gradient in gradients]
    steps.after_step(search, Clock(5, 10, 1))
    assert float(search.temperature) == pytest.approx(2.55)
    assert not any(torch.equal(*pair) for pair in zip(logits, search.structure(), strict=True))
    assert all(torch.equal(*pair) for pair in zip(before, gradients, strict=True))
    after = dict(search.network.named_parameters())
    assert all(torch.equal(after[name], weights[name]) for name in after)


def test_an_optimiser_of_the_weights_holds_no_logits():
    search, _ = searching()
    held = {id(p) for group in default_optimizer(search.network).param_groups for p in group["params"]}
    assert held.isdisjoint(id(one) for one in search.structure())


class StoppedError(Exception):
    """The run was cut short."""


def test_a_search_that_was_stopped_goes_on_to_the_same_bits(tmp_path):
    def run(folder, evaluate=None, resume=False):
        search, steps = searching(learning_rate=0.05)
        optimizer = default_optimizer(search.network)
        fit(
            search, halves(DATA), loss=steps.loss, after_step=steps.after_step, optimizer=optimizer,
            epochs=3, batch_size=7, evaluate=evaluate, out=folder, resume=resume, progress=False,
        )  # fmt: skip
        return search.state_dict()

    whole, calls = run(tmp_path / "whole"), []

    def stop(model):
        calls.append(model)
        if len(calls) == 2:
            raise StoppedError
        return 0.0

    with pytest.raises(StoppedError):
        run(tmp_path / "stopped", stop)
    again = run(tmp_path / "stopped", resume=True)
    assert all(torch.equal(value, again[name]) for name, value in whole.items())


@pytest.mark.parametrize("place", [0, -1])
def test_cost_alone_draws_the_expected_cost_to_the_budget(place):
    search, steps = searching(learning_rate=0.05, cost_weight=100.0)
    for logits in search.structure():
        logits.data[place] = 1.0
    batch = (torch.zeros(2, 3, 8, 8), torch.tensor([0, 1]))
    for _ in range(60):
        steps.step(batch)
    assert float(search.expected_cost()["macs"].detach()) == pytest.approx(search.limits["macs"], rel=0.1)


def test_mistakes():
    search, _ = searching()
    for settings in (
        {"cost_weight": -1.0},
        {"learning_rate": 0.0},
        {"tolerance": 1.0},
        {"temperatures": (5.0, 0.0)},
    ):
        with pytest.raises(NetsmithError, match="expected 0 or more, above 0"):
            Alternation(search, task_loss, **settings)
