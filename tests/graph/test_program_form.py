"""The program form: sizes that a model's code bakes in follow the cut, exactly."""

import copy

import pytest
import torch
import torch.nn.functional as F
from test_exactness import random_keep
from torch import nn

import netsmith as ns
from netsmith.closeness import relative_difference
from netsmith.cutting.verify import masked_output
from netsmith.edits import remove
from netsmith.errors import EditError, FileError

X = torch.randn(3, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


class Baked(nn.Module):
    """Attention, grouped convolution, normalisation and a new tensor, every size of which is a literal."""

    def __init__(self):
        super().__init__()
        self.embed, self.norm = nn.Linear(6, 16), nn.LayerNorm(16)
        self.q, self.kv, self.out = nn.Linear(16, 12), nn.Linear(16, 24), nn.Linear(12, 16)
        self.kernel, self.scale = nn.Parameter(torch.randn(16, 4, 3)), nn.Parameter(torch.randn(16))
        self.head, self.bias = nn.Linear(16, 3), nn.Parameter(torch.randn(16))

    def forward(self, x, *, gain):
        x = self.embed(x)
        y = F.layer_norm(x, (16,), self.norm.weight, self.norm.bias)
        q = self.q(y).view(-1, 5, 4, 3).transpose(1, 2)
        k, v = (part.view(-1, 5, 4, 3).transpose(1, 2) for part in torch.split(self.kv(y), 12, -1))
        y = ((q @ k.mT * 0.5).softmax(-1) @ v).transpose(1, 2).reshape(-1, 5, 12)
        x = x + self.out(y) + self.bias.expand(1, 5, 16)
        x = F.conv1d(x.transpose(1, 2), self.kernel, padding=1, groups=4)
        x = F.group_norm(x, 4, self.scale).transpose(1, 2)
        state = torch.zeros(1, 16, dtype=x.dtype)
        for step in range(5):
            state = torch.tanh(state + x[:, step])
        return {"logits": self.head(state) * gain}


def model(dtype=torch.float64):
    torch.manual_seed(0)
    return Baked().to(dtype).eval()


INPUTS = {"x": X, "gain": torch.tensor([2.0], dtype=torch.float64)}


def test_sizes_in_the_code_freeze_the_model_but_not_its_program():
    assert {group.size for group in ns.trace(model(), INPUTS).groups} < {16, 4, 3}
    sizes = sorted(group.size for group in ns.trace(ns.as_program(model(), INPUTS), INPUTS).groups)
    assert sizes == [3, 4, 4, 4, 4]  # head width; heads; groups x inner and x outer width of the convolution


def test_program_is_the_model():
    original = model()
    program = ns.as_program(original, INPUTS)
    assert isinstance(program, torch.fx.GraphModule)
    assert {n: p.shape for n, p in program.named_parameters()} == {
        n: p.shape for n, p in original.named_parameters()
    }
    more = {"x": torch.randn(7, 5, 6, dtype=torch.float64), "gain": INPUTS["gain"]}
    assert torch.equal(program(**more)["logits"], original(**more)["logits"])
    program.head.weight.data.zero_()
    assert bool(original.head.weight.any())


@pytest.mark.parametrize("seed", range(3))
def test_cut_equals_masked_original(seed):
    program = ns.as_program(model(), INPUTS)
    graph = ns.trace(program, INPUTS)
    keep = random_keep(graph, seed)
    expected = masked_output(program, INPUTS, graph, keep)
    small, records = remove(program, graph, keep)
    with torch.no_grad():
        got = small(**INPUTS)["logits"]
        assert relative_difference(got, expected["logits"]) <= 1e-10
        again = ns.replay(ns.as_program(model(), INPUTS), records)
        assert torch.equal(again(**INPUTS)["logits"], got)


def test_cut_equals_the_model_with_its_readers_zeroed():
    """An oracle that knows neither program nor tracer: zero what reads a head in the model's own weights."""

    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(6, 12), nn.Linear(12, 3)

        def forward(self, x):
            return self.b(self.a(x).view(-1, 5, 4, 3).softmax(-1).reshape(-1, 5, 12))

    torch.manual_seed(0)
    original = Heads().double()
    with pytest.raises(EditError, match=r"nothing to remove: .*; form='program' frees sizes"):
        ns.shrink(original, X, ratio=0.5)
    small = ns.shrink(original, X, ratio=0.5, form="program")
    assert small.a.weight.shape == (6, 6)
    (gone,) = ns.records(small)[0]["groups"].values()
    zeroed = copy.deepcopy(original)
    with torch.no_grad():
        zeroed.b.weight.view(3, 4, 3)[:, gone] = 0
        assert relative_difference(small(X), zeroed(X)) <= 1e-10


def test_shrunk_program_trains_and_is_exported_but_not_saved_without_inputs(tmp_path):
    inputs = {name: tensor.float() for name, tensor in INPUTS.items()}
    small = ns.shrink(model(torch.float32), inputs, budget=ns.Budget(params=0.6), form="program")
    optimizer = torch.optim.SGD(small.train().parameters(), lr=0.1)
    small(**inputs)["logits"].square().mean().backward()
    optimizer.step()
    exported = ns.export(small, inputs, tmp_path / "small.onnx")
    assert exported.difference < 1e-4
    with pytest.raises(FileError, match=r"cannot save .*pass inputs= to store the exported program"):
        ns.save(small, tmp_path / "small.nsm")
    saved = ns.save(small, tmp_path / "small.nsm", inputs=inputs)
    with torch.no_grad():
        again = ns.load_program(saved).module()(**inputs)["logits"]
        torch.testing.assert_close(again, small(**inputs)["logits"])


def test_what_cannot_be_a_program():
    class Asking(nn.Linear):
        def forward(self, x):
            return super().forward(x) if float(x.sum()) > 0 else x

    layer = Asking(6, 6).double()
    with pytest.raises(EditError, match=r"torch\.export cannot express Asking"):
        ns.shrink(layer, X, ratio=0.5, form="program")
    with pytest.raises(EditError, match="inplace=True"):
        ns.shrink(model(), INPUTS, ratio=0.5, form="program", inplace=True)
    with pytest.raises(EditError, match=r"form='onnx' is not known; give 'python' or 'program'"):
        ns.shrink(model(), INPUTS, ratio=0.5, form="onnx")
