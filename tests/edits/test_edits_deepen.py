"""Deepening: the function stays what it was, the new layers can learn, and they come out again."""

import json

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.edits.deepen import invert_record
from netsmith.errors import EditError

IMAGE = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.up = nn.ConvTranspose2d(6, 5, 2, stride=2)
        self.head = nn.Linear(5, 4)

    def forward(self, x):
        x = torch.relu(self.norm(self.conv(x)))
        return self.head(self.up(x).abs().mean((2, 3)))


def made():
    torch.manual_seed(0)
    return Plain().double().eval()


@pytest.mark.parametrize("style", ["identity", "residual"])
@pytest.mark.parametrize("after", ["conv", "norm", "up", "head"])
@pytest.mark.parametrize("inputs", [None, IMAGE], ids=["blind", "traced"])
def test_function_is_preserved(style, after, inputs):
    model = made()
    deeper, records = ns.edits.deepen(
        model, after, inputs, style=style, hidden=7 if style == "residual" else None
    )
    torch.testing.assert_close(deeper(IMAGE), model(IMAGE), rtol=1e-10, atol=1e-12)
    assert len(list(deeper.parameters())) > len(list(model.parameters()))
    assert records == json.loads(json.dumps(records)) == ns.records(deeper)
    again = ns.replay(made(), records)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), deeper.parameters(), strict=True))


def test_relu_follows_only_where_nothing_is_negative():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 3)).eval()
    x = torch.randn(5, 4)
    after_linear = ns.edits.deepen(model, "0", x)[0]
    after_dropout = ns.edits.deepen(model, "2", x)[0]
    assert isinstance(after_linear[0][1], nn.Linear)
    assert isinstance(after_dropout[2][1][1], nn.ReLU)
    torch.testing.assert_close(after_dropout(x), model(x))


def test_a_residual_block_gets_gradients():
    deeper, _ = ns.edits.deepen(made(), "conv", IMAGE, style="residual")
    deeper(IMAGE).sum().backward()
    first, _, last = deeper.conv[1].body
    assert last.weight.grad.abs().sum() > 0
    assert first.weight.grad.abs().sum() == 0  # as behind every layer of zeros, until that has moved
    assert torch.isfinite(first.weight).all()


def test_inverse_takes_the_block_out_and_keeps_what_the_rest_learnt():
    model = made()
    deeper, records = ns.edits.deepen(model, "conv", IMAGE)
    with torch.no_grad():
        deeper.conv[0].weight.add_(1.0)
    invert_record(deeper, records[0], None)
    assert str(deeper) == str(model)
    torch.testing.assert_close(deeper.conv.weight, model.conv.weight + 1)


def test_records_say_what_was_renamed():
    model = made()
    deeper, (record,) = ns.edits.deepen(model, "conv", IMAGE)
    names = dict(deeper.named_parameters())
    for old, new in record["renamed"].items():
        assert torch.equal(model.get_parameter(old), names[new])


def test_random_state_is_left_alone():
    model = made()
    state = torch.get_rng_state()
    ns.edits.deepen(model, "conv", style="residual")
    assert torch.equal(torch.get_rng_state(), state)


class Tuple(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.LSTM(3, 4)
        self.two = Two()

    def forward(self, x):
        y, _ = self.layer(x)
        return self.two(y, y)


class Two(nn.Module):
    def forward(self, a, b):
        return a + b


class Reader(nn.Module):
    """Uses more of a layer than its output."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        return self.layer(x) * self.layer.weight.mean()


@pytest.mark.parametrize(
    ("model", "after", "inputs", "options", "message"),
    [
        (Tuple, "layer", torch.ones(2, 1, 3), {}, "one tensor"),
        (Tuple, "two", torch.ones(2, 1, 3), {}, "called with one argument"),
        (Tuple, "two", None, {}, "only known with inputs"),
        (Tuple, "nobody", None, {}, "path of a module"),
        (Reader, "layer", torch.ones(2, 3), {}, "does not run"),
        (Reader, "layer", None, {"style": "copy"}, "style='copy'"),
        (Reader, "layer", None, {"kernel": 2}, "odd"),
        (Reader, "layer", None, {"hidden": 0, "style": "residual"}, "hidden=0"),
    ],
)
def test_mistakes_are_named_and_leave_the_model_whole(model, after, inputs, options, message):
    model = model()
    before = str(model)
    with pytest.raises(EditError, match=message):
        ns.edits.deepen(model, after, inputs, inplace=True, **options)
    assert str(model) == before
    assert ns.records(model) == []
