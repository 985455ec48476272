from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from netsmith.clock import Clock
from netsmith.errors import NetsmithError, UnknownNameError
from netsmith.sparsity import SparseTraining, drop_fraction, erdos_renyi, layer_masks

STEPS = 40


def network() -> tuple[nn.Sequential, dict[str, Tensor]]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 20), nn.Tanh(), nn.Linear(20, 5)).double()
    shapes = {name: p.shape for name, p in model.named_parameters() if p.dim() > 1}
    scores = {name: torch.rand(shape) for name, shape in shapes.items()}
    return model, layer_masks(scores, erdos_renyi(shapes, 0.3))


def batch(step: int) -> Tensor:
    return torch.randn(16, 12, generator=torch.Generator().manual_seed(step), dtype=torch.float64)


def train(model, sparse, optimizer, steps=range(STEPS), watch=lambda step: None) -> None:
    with sparse:
        for step in steps:
            optimizer.zero_grad()
            (model(batch(step)) - 1).square().sum().backward()
            optimizer.step()
            sparse(model, Clock(step + 1, STEPS, 1))
            watch(step + 1)


@pytest.mark.parametrize("growth", ["gradient", "random"])
@pytest.mark.parametrize("optimiser", [torch.optim.SGD, torch.optim.Adam])
def test_the_count_per_layer_stays_and_the_mask_holds_after_every_step(growth, optimiser) -> None:
    model, masks = network()
    optimizer = optimiser(model.parameters(), lr=0.01, weight_decay=1e-3)
    sparse = SparseTraining(model, masks, growth=growth, every=5, end=0.9, optimizer=optimizer)
    seen = {name: mask.clone() for name, mask in masks.items()}

    def watch(step: int) -> None:
        for name, mask in sparse.masks.items():
            weight = model.get_parameter(name)
            assert int(mask.sum()) == int(masks[name].sum())
            assert not weight[~mask].any()
            changed = not torch.equal(mask, seen[name])
            assert not (changed and step % 5)
            assert not weight[mask & ~seen[name]].any() or not changed
            seen[name] = mask.clone()

    train(model, sparse, optimizer, watch=watch)
    assert any(not torch.equal(mask, masks[name]) for name, mask in sparse.masks.items())


def test_rigl_drops_the_smallest_and_grows_the_largest_gradients() -> None:
    model, masks = network()
    sparse = SparseTraining(model, masks, every=1, fraction=0.4)
    with sparse:
        pass  # the weights outside of the masks are zero from now on
    dense = dict(zip(masks, _gradients(model, batch(0)), strict=True))
    with sparse:
        (model(batch(0)) - 1).square().sum().backward()
        before = {name: model.get_parameter(name).detach().clone() for name in masks}
        clock = Clock(1, STEPS, 1)
        sparse(model, clock)
    for name, start in masks.items():
        active = int(start.sum())
        count = int(drop_fraction(clock, initial=0.4) * active)
        magnitudes = before[name].abs().masked_fill(~start, -1).flatten()
        kept = torch.zeros(start.numel(), dtype=torch.bool)
        kept[magnitudes.topk(active - count).indices] = True
        appeal = dense[name].abs().flatten().masked_fill(kept, -1)
        expected = kept.clone()
        expected[appeal.topk(count).indices] = True
        assert torch.equal(sparse.masks[name].flatten(), expected)
        assert not model.get_parameter(name).flatten()[expected & ~kept].any()
        assert torch.equal(model.get_parameter(name).flatten()[kept], before[name].flatten()[kept])


def _gradients(model: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    weights = [p for p in model.parameters() if p.dim() > 1]
    return torch.autograd.grad((model(x) - 1).square().sum(), weights)


def test_momentum_revives_nothing_and_is_zero_where_weights_are_new() -> None:
    model, masks = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    (model(batch(99)) - 1).square().sum().backward()
    optimizer.step()
    sparse = SparseTraining(model, masks, every=10, end=1.0, optimizer=optimizer)
    seen = {name: mask.clone() for name, mask in masks.items()}

    def watch(step: int) -> None:
        for name, mask in sparse.masks.items():
            weight = model.get_parameter(name)
            fresh = mask & ~seen[name]
            assert not weight[~mask].any()
            assert not optimizer.state[weight]["momentum_buffer"][fresh].any()
            seen[name] = mask.clone()

    train(model, sparse, optimizer, watch=watch)


def test_masks_stay_after_the_end_and_the_gradients_are_free_after_the_block() -> None:
    model, masks = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    sparse = SparseTraining(model, masks, every=5, end=0.5)
    late = {}

    def watch(step: int) -> None:
        if step == STEPS // 2:
            late.update({name: mask.clone() for name, mask in sparse.masks.items()})

    train(model, sparse, optimizer, watch=watch)
    assert all(torch.equal(mask, late[name]) for name, mask in sparse.masks.items())
    assert not any(p._backward_hooks for p in model.parameters())
    assert torch.equal(masks["0.weight"], network()[1]["0.weight"])


@pytest.mark.parametrize("growth", ["gradient", "random"])
def test_whole_is_two_halves_resumed(growth) -> None:
    (whole, masks), (parts, _) = network(), network()
    one, other = (torch.optim.SGD(m.parameters(), lr=0.01) for m in (whole, parts))
    train(whole, SparseTraining(whole, masks, every=4, growth=growth), one)
    first = SparseTraining(parts, masks, every=4, growth=growth)
    train(parts, first, other, steps=range(18))
    again = SparseTraining(parts, masks, every=4, growth=growth, seed=5)
    again.load_state_dict(first.state_dict())
    train(parts, again, other, steps=range(18, STEPS))
    states = [whole.state_dict(), parts.state_dict()]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_mistakes() -> None:
    model, masks = network()
    with pytest.raises(UnknownNameError, match="unknown growth 'gradients'; did you mean gradient"):
        SparseTraining(model, masks, growth="gradients")
    with pytest.raises(NetsmithError, match="every is 0"):
        SparseTraining(model, masks, every=0)
    with pytest.raises(NetsmithError, match=r"fraction 1\.5"):
        SparseTraining(model, masks, fraction=1.5)
    with pytest.raises(NetsmithError, match=r"there is no gradient of 0\.weight to grow by"):
        SparseTraining(model, masks, every=1)(model, Clock(1, STEPS, 1))
