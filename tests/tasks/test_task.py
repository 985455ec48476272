from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from netsmith.errors import DataError
from netsmith.tasks import Task
from netsmith.tasks.task import IGNORED


def make_task(inputs: Tensor, targets: Tensor, classes: int = 3) -> Task:
    data = TensorDataset(inputs, targets)
    return Task(name="toy", train=data, test=data, classes=classes, input_shape=tuple(inputs.shape[1:]))


def test_accuracy_is_the_share_of_argmax_hits() -> None:
    logits = torch.tensor([[3.0, 1, 2], [0, 1, 2], [0, 5, 2], [9, 1, 2]])
    assert make_task(logits, torch.tensor([0, 2, 0, 1])).evaluate(nn.Identity()) == 0.5


@pytest.mark.parametrize("batch_size", [1, 7, 100, 1000])
def test_batch_size_does_not_matter(batch_size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(100, 3, generator=generator)
    targets = torch.randint(3, (100,), generator=generator)
    expected = float((logits.argmax(1) == targets).double().mean())
    assert make_task(logits, targets).evaluate(nn.Identity(), batch_size=batch_size) == expected


def test_a_row_with_nan_is_wrong() -> None:
    logits = torch.tensor([[float("nan"), 0.0, 0.0], [1.0, 0.0, 0.0]])
    assert make_task(logits, torch.tensor([0, 0])).evaluate(nn.Identity()) == 0.5


def test_runs_in_eval_mode_without_gradient_and_puts_every_mode_back() -> None:
    seen: list[tuple[bool, bool]] = []

    class Spy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append((self.training, torch.is_grad_enabled()))
            return x

    model = nn.Sequential(nn.BatchNorm1d(3), Spy(), nn.Dropout())
    model[0].eval()
    statistics = model[0].running_mean.clone()
    make_task(torch.randn(4, 3), torch.zeros(4, dtype=torch.int64)).evaluate(model)
    assert seen == [(False, False)]
    assert [module.training for module in model.modules()] == [True, False, True, True]
    assert torch.equal(model[0].running_mean, statistics)


def test_modes_are_put_back_after_an_error() -> None:
    model = nn.Sequential(nn.Linear(7, 3))
    with pytest.raises(RuntimeError):
        make_task(torch.randn(4, 5), torch.zeros(4, dtype=torch.int64)).evaluate(model)
    assert all(module.training for module in model.modules())


def test_wrong_number_of_logits_is_one_clear_line() -> None:
    task = make_task(torch.randn(4, 5), torch.zeros(4, dtype=torch.int64))
    with pytest.raises(
        DataError, match=r"\[4, 3\], but the model returned \[4, 2\]; build it with classes=3"
    ):
        task.evaluate(nn.Linear(5, 2))


def test_every_position_counts_but_the_ignored_ones() -> None:
    logits = torch.tensor([[[3.0, 1, 2], [0, 1, 2]], [[0, 5, 2], [9, 1, 2]]])
    targets = torch.tensor([[0, IGNORED], [0, 0]])
    task = make_task(logits, targets)
    assert task.evaluate(nn.Identity()) == 2 / 3
    expected = F.cross_entropy(logits.view(-1, 3), targets.flatten())
    assert torch.equal(task.batch_loss(nn.Identity(), (logits, targets)), expected)


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_perplexity_is_the_exponential_of_the_mean_over_all_targets(batch_size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20, 5, 3, generator=generator)
    targets = torch.randint(3, (20, 5), generator=generator)
    targets[3:, 2] = IGNORED
    task = replace(make_task(logits, targets), metrics=("accuracy", "perplexity"))
    found = task.measure(nn.Identity(), batch_size=batch_size)
    expected = F.cross_entropy(logits.view(-1, 3), targets.flatten()).exp()
    assert found["perplexity"] == pytest.approx(float(expected), rel=1e-5)
    assert task.measure(nn.Linear(3, 3))["perplexity"] > 1


def test_perplexity_that_no_number_holds_is_infinite() -> None:
    logits = torch.tensor([[1e6, 0.0, 0.0]])
    task = replace(make_task(logits, torch.tensor([1])), metrics=("accuracy", "perplexity"))
    assert task.measure(nn.Identity())["perplexity"] == float("inf")


def test_examples_are_the_first_held_out_inputs() -> None:
    task = make_task(torch.arange(12.0).view(4, 3), torch.zeros(4, dtype=torch.int64))
    assert task.example(2).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert len(task.example(100)) == 4
