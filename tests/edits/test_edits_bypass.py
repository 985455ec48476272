"""Taking blocks out: equal to the original whose blocks hand on their input, and really gone."""

import json
import warnings

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.errors import EditError
from netsmith.layers import PassThrough, Residual


class Block(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.norm, self.mix, self.kind = nn.LayerNorm(8), nn.Linear(8, 8), kind

    def forward(self, x, *, scale, extra=None):
        return x + scale * torch.tanh(self.mix(self.norm(x))), extra, None


class Network(nn.Module):
    """Blocks in a list, called with keywords; their tuple is unpacked and their attribute read."""

    def __init__(self, depth=4):
        super().__init__()
        self.stem, self.head = nn.Linear(3, 8), nn.Linear(8, 2)
        self.blocks = nn.ModuleList(Block(kind) for kind in range(depth))

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x, scale, nothing = block(x, scale=1.0 + block.kind, extra=x.new_ones(()))
            assert nothing is None
            x = x * scale
        return self.head(x)


X = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def made():
    torch.manual_seed(0)
    return Network().double().eval()


def first_argument(module, args, kwargs, output):
    """The oracle: a hook that replaces a block's output by its input."""
    return (args[0], *output[1:]) if isinstance(output, tuple) else args[0]


def hooked_output(model, names, x):
    handles = [model.get_submodule(n).register_forward_hook(first_argument, with_kwargs=True) for n in names]
    try:
        with torch.no_grad():
            return model(x)
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("names", [["blocks.0"], ["blocks.1", "blocks.3"], [f"blocks.{i}" for i in range(4)]])
def test_equals_the_original_whose_blocks_hand_on_their_input(names):
    model = made()
    shallow, records = ns.edits.bypass(model, names, X)
    with torch.no_grad():
        assert torch.equal(shallow(X), hooked_output(model, names, X))
    gone = {
        f"{name}.{tensor}" for name in names for tensor, _ in model.get_submodule(name).named_parameters()
    }
    assert {n for n, _ in model.named_parameters()} - {n for n, _ in shallow.named_parameters()} == gone
    assert set(records[0]["replaced"]) == gone
    assert all(isinstance(shallow.get_submodule(name), PassThrough) for name in names)
    assert [block.kind for block in shallow.blocks] == [0, 1, 2, 3]


@pytest.mark.parametrize("name", ["resnet20", "mobilenetv2"])
def test_zoo_networks_without_half_of_their_blocks(name):
    torch.manual_seed(0)
    model = ns.zoo.build(name, classes=4, input_shape=(3, 16, 16), width=0.5).double().eval()
    x = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    blocks = ns.graph.blocks(model, x)[::2]
    shallow, _ = ns.edits.bypass(model, blocks)
    with torch.no_grad():
        assert torch.equal(shallow(x), hooked_output(model, [block.name for block in blocks], x))
    before, after = ns.profile(model, x).total, ns.profile(shallow, x).total
    assert before["macs"] - after["macs"] == sum(block.macs for block in blocks)
    assert before["params"] - after["params"] == sum(block.parameters for block in blocks)
    ns.shrink(shallow, x, ratio=0.3)


def test_records_replay_and_are_taken_back():
    model = made()
    shallow, records = ns.edits.bypass(model, ["blocks.2"], X)
    again = ns.replay(made(), json.loads(json.dumps(records)))
    assert str(again) == str(shallow)
    assert torch.equal(again(X), shallow(X))
    ns.edits.kinds.kind_of(records[0]).invert(again, records[0], model)
    assert torch.equal(again(X), model(X))
    assert again.blocks[2] is not model.blocks[2]
    with pytest.raises(EditError, match="give the original"):
        ns.edits.kinds.kind_of(records[0]).invert(shallow, records[0], None)


def test_saved_and_exported(tmp_path):
    model = made()
    shallow, records = ns.edits.bypass(model, ["blocks.0", "blocks.2"], X)
    loaded = ns.load(ns.save(shallow, tmp_path / "shallow.nsm"))
    assert torch.equal(loaded(X), shallow(X))
    assert ns.records(loaded) == records
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ns.export(shallow.float(), X.float(), tmp_path / "shallow.onnx")


def test_nested_blocks_and_wrong_records_are_refused():
    model = nn.Sequential(nn.Sequential(Residual(nn.Linear(3, 3)))).double()
    blocks = [ns.graph.block_at(model, X, path) for path in ("0", "0.0")]
    with pytest.raises(EditError, match=r"'0.0' lies inside block '0'"):
        ns.edits.bypass(model, blocks)
    with pytest.raises(EditError, match="needs inputs"):
        ns.edits.bypass(model, ["0"])
    records = ns.edits.bypass(model, blocks[:1])[1]
    with pytest.raises(EditError, match="'0'"):
        ns.replay(nn.Linear(3, 3), records)
