"""Exports whose sizes vary: other lengths, other graphs, and what does not fit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.errors import FileError


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.embedding = nn.Embedding(11, 4)
        self.layer = getattr(nn, kind)(4, 6, batch_first=True)
        self.head = nn.Linear(6, 11)

    def forward(self, tokens):
        return self.head(self.layer(self.embedding(tokens))[0])


class FixedLength(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.mix = nn.Embedding(11, 4), nn.Linear(5, 11)

    def forward(self, tokens):
        return self.mix(self.embedding(tokens).transpose(1, 2))


DIMS = ({0: "batch", 1: "time"},)


def tokens(*shape):
    return torch.randint(11, shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_recurrent_layers_take_other_lengths(tmp_path, kind):
    torch.manual_seed(0)
    model = Recurrent(kind).eval()
    samples = (tokens(1, 5), tokens(3, 17))
    written = ns.export(model, tokens(2, 4), tmp_path / "a.onnx", dynamic_shapes=DIMS, samples=samples)
    assert written.difference < 1e-5
    assert written.shapes == {"tokens": ("batch", "time")}
    path = ns.save(model, tmp_path / "a.nsm", inputs=tokens(2, 4), dynamic_shapes=DIMS)
    program = ns.load_program(path).module()
    with torch.no_grad():
        for sample in samples:
            torch.testing.assert_close(program(sample), model(sample))


def test_a_length_that_is_fixed_is_said(tmp_path):
    model = FixedLength().eval()
    with pytest.raises(FileError, match="leave it out of dynamic_shapes"):
        ns.export(model, tokens(2, 5), tmp_path / "a.onnx", dynamic_shapes=DIMS)
    assert list(tmp_path.iterdir()) == []
    written = ns.export(model, tokens(2, 5), tmp_path / "a.onnx", dynamic_shapes=({0: "batch"},))
    assert written.shapes == {"tokens": ("batch", 5)}


def test_one_entry_per_argument(tmp_path):
    with pytest.raises(FileError, match=r"dynamic_shapes has 2 entries, the model takes 1 \(tokens\)"):
        ns.export(FixedLength(), tokens(2, 5), tmp_path / "a.onnx", dynamic_shapes=(*DIMS, {}))


def test_samples_that_do_not_fit_are_found(tmp_path):
    with pytest.raises(FileError, match=r"cannot be checked on \[3, 7\]"):
        ns.export(FixedLength(), tokens(2, 5), tmp_path / "a.onnx", samples=(tokens(3, 7),))
