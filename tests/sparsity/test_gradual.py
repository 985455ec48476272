from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from netsmith.clock import Clock
from netsmith.errors import NetsmithError
from netsmith.sparsity import GradualPruning, cubic, cyclic


def train(
    model: nn.Module, pruning: GradualPruning, steps: range, optimizer: torch.optim.Optimizer
) -> list[int]:
    generator = torch.Generator().manual_seed(0)
    batches = [torch.randn(8, 6, generator=generator) for _ in range(40)]
    zeros = []
    with pruning:
        for step in steps:
            optimizer.zero_grad()
            model(batches[step]).square().sum().backward()
            optimizer.step()
            pruning(model, Clock(step + 1, 40, 1))
            zeros.append(sum(int((p == 0).sum()) for p in model.parameters() if p.dim() > 1))
    return zeros


def network() -> tuple[nn.Sequential, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 10), nn.Tanh(), nn.Linear(10, 4))
    return model, torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-2)


def test_zeros_follow_the_schedule_and_never_come_back() -> None:
    model, optimizer = network()
    schedule = partial(cubic, final=0.9, end=0.8)
    zeros = train(model, GradualPruning(model, schedule, every=5), range(40), optimizer)
    expected = [100 - round(100 * (1 - schedule(Clock(step // 5 * 5, 40, 1)))) for step in range(1, 41)]
    assert zeros == [0, 0, 0, 0, *expected[4:]]
    assert zeros[-1] == 90


def test_the_last_step_updates_whatever_every_says() -> None:
    model, optimizer = network()
    zeros = train(model, GradualPruning(model, partial(cubic, final=0.5), every=39), range(40), optimizer)
    assert zeros[-1] == 50


def test_cycles_let_weights_learn_again() -> None:
    model, optimizer = network()
    pruning = GradualPruning(model, partial(cyclic, final=0.8, cycles=2), every=1)
    zeros = train(model, pruning, range(40), optimizer)
    assert zeros[18] >= 79
    assert zeros[20] < 20
    assert zeros[-1] == 80


def test_four_steps_are_two_and_two_resumed() -> None:
    schedule = partial(cubic, final=0.9)
    (whole, one), (parts, other) = network(), network()
    train(whole, GradualPruning(whole, schedule, every=3), range(20), one)
    first = GradualPruning(parts, schedule, every=3)
    train(parts, first, range(10), other)
    again = GradualPruning(parts, schedule, every=3)
    again.load_state_dict(first.state_dict())
    train(parts, again, range(10, 20), other)
    states: list[dict[str, Tensor]] = [whole.state_dict(), parts.state_dict()]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_mistakes() -> None:
    with pytest.raises(NetsmithError, match="every is 0; expected a number of steps"):
        GradualPruning(network()[0], partial(cubic, final=0.5), every=0)
