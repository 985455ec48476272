"""Batch-norm statistics estimated anew."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from netsmith.train import recalibrate


def network() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, momentum=0.3), nn.Dropout(0.5), nn.Linear(4, 2))
    model[1].running_mean.fill_(50.0)
    return model


def test_statistics_are_the_plain_average_over_batches() -> None:
    x = torch.randn(40, 3)
    model = recalibrate(network(), DataLoader(TensorDataset(x), 10), batches=3)
    outputs = [model[0](x[start : start + 10]) for start in (0, 10, 20)]
    torch.testing.assert_close(model[1].running_mean, torch.stack([o.mean(0) for o in outputs]).mean(0))
    torch.testing.assert_close(model[1].running_var, torch.stack([o.var(0) for o in outputs]).mean(0))
    assert int(model[1].num_batches_tracked) == 3


def test_everything_else_is_as_found() -> None:
    model = network()
    model[2].eval()
    before = {k: v.clone() for k, v in model.state_dict().items() if not k.startswith("1.")}
    recalibrate(model, TensorDataset(torch.randn(40, 3)), batch_size=10)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())
    assert [m.training for m in model] == [True, True, False, True]
    assert model[1].momentum == 0.3


def test_dropout_is_off_meanwhile() -> None:
    x = torch.randn(20, 3)
    model = recalibrate(nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), nn.BatchNorm1d(3)), TensorDataset(x))
    torch.testing.assert_close(model[2].running_mean, model[0](x).mean(0))


def test_modes_and_momentum_come_back_after_an_error() -> None:
    model = network()
    with pytest.raises(RuntimeError):
        recalibrate(model, TensorDataset(torch.randn(40, 5)))
    assert model.training
    assert model[2].training
    assert model[1].momentum == 0.3


def test_batches_that_are_tensors_and_norms_without_statistics() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3, track_running_stats=False), nn.BatchNorm1d(3))
    recalibrate(model, DataLoader(torch.randn(20, 3) + 4, 10))
    torch.testing.assert_close(model[1].running_mean, torch.zeros(3), atol=1e-5, rtol=0)
