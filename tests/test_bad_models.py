"""Models and inputs that cannot be edited: a clear error that names the place, and nothing touched."""

import copy

import pytest
import torch
from torch import nn
from torch.testing._internal.two_tensor import TwoTensor

import netsmith as ns
from netsmith.errors import EditError, NetsmithError, TraceError

X = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x):
        return self.b(self.a(x).relu())


def untouched(model):
    """A copy of all a model is, to compare with afterwards."""
    return {
        name: {
            key: (id(value), value.clone() if isinstance(value, torch.Tensor) else copy.copy(value))
            for key, value in [*vars(module).items(), *module._parameters.items(), *module._buffers.items()]
        }
        for name, module in model.named_modules()
    }


def same(before, after):
    assert before.keys() == after.keys()
    for name, values in before.items():
        assert values.keys() == after[name].keys(), name
        for key, (identity, value) in values.items():
            other_identity, other = after[name][key]
            if isinstance(value, torch.Tensor):
                assert identity == other_identity, key
                assert value.is_meta or torch.equal(value, other), key
            else:
                assert value == other, key


def refused(error, message, model, inputs=X, **options):
    before = untouched(model)
    with pytest.raises(error, match=message) as caught:
        ns.shrink(model, inputs, **{"ratio": 0.5, **options})
    same(before, untouched(model))
    assert "\n" not in str(caught.value)


STATE = [0.0]


class Alternating(Net):
    def forward(self, x):
        STATE[0] += 1
        h = self.a(x)
        return self.b(h.relu() if STATE[0] % 2 else h.tanh().abs())


def test_model_that_changes_structure_between_calls():
    refused(
        TraceError, r"Alternating runs other operators from one call to the next: .* in module", Alternating()
    )


class Counting(Net):
    def forward(self, x):
        STATE[0] += 1.0
        return super().forward(x) * STATE[0]


def test_output_that_depends_on_global_state():
    message = r"Counting gives another output each time it is run on these inputs \(they differ by 0?\.?\d+"
    refused(EditError, message, Counting())


class Noted(Net):
    """Counts its calls in a buffer, remembers an activation, keeps a history."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))
        self.count, self.history, self.cache, self.real = 5, [], {}, False

    def forward(self, x):
        self.count += 1
        if self.real and float(x.sum()) > 1e9:
            return x
        self.history.append(x.shape)
        self.cache["last"] = self.hidden = self.a(x)
        self.calls = self.calls + 1
        self.mean.mul_(0.9).add_(x.mean(0), alpha=0.1)
        return self.b(self.hidden.relu()) + self.mean.sum()


@pytest.mark.parametrize("real", [False, True], ids=["meta", "real"])
def test_model_that_writes_on_itself_is_left_as_found(real):
    model = Noted()
    model.real = real
    before = untouched(model)
    ns.trace(model, X)
    same(before, untouched(model))
    small = ns.shrink(model, X, ratio=0.5)
    same(before, untouched(model))
    assert small.a.out_features == 4
    assert (small.count, small.history, small.cache, int(small.calls)) == (5, [], {}, 0)
    assert not hasattr(small, "hidden")
    assert torch.equal(small.mean, torch.zeros(4))


def test_parameters_without_values_beside_some_with():
    model = Net()
    model.b.to("meta")
    refused(EditError, r"b\.weight is on the meta device, without values, but a\.weight is on cpu", model)


def test_scores_that_need_values_a_meta_model_does_not_have():
    with torch.device("meta"):
        model = Net()
    refused(EditError, r"a\.weight is on the meta device and has no values to score", model)
    small = ns.shrink(model, X, ratio=0.5, score=ns.scores.Random())
    assert small.a.weight.is_meta
    assert small.a.weight.shape == (4, 4)


def test_lazy_parameters():
    model = nn.Sequential(nn.LazyLinear(8), nn.Linear(8, 2))
    for verb in (ns.trace, ns.profile, lambda m, x: ns.shrink(m, x, ratio=0.5)):
        with pytest.raises(TraceError, match=r"0\.weight is not initialised yet"):
            verb(model, X)
    assert model[0].has_uninitialized_params()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:torch.quantize_per_tensor:UserWarning")
def test_quantised_layers():
    from torch.ao.quantization import quantize_dynamic

    model = quantize_dynamic(Net().eval(), {nn.Linear})
    with pytest.raises(EditError, match=r"nothing to remove: no weights can be seen; packed ones"):
        ns.shrink(model, X, ratio=0.5)
    model = quantize_dynamic(Net().eval(), {"b": torch.ao.quantization.default_dynamic_qconfig})
    assert "quantized.linear_dynamic" in ns.trace(model, X).frozen["a.weight", 0]
    with pytest.raises(EditError, match=r"nothing to remove: .*quantized.linear_dynamic.* has no rule"):
        ns.shrink(model, X, ratio=0.5)


def test_packed_tensors():
    model = Net()
    weight = model.a.weight.detach()
    model.a.weight = nn.Parameter(TwoTensor(weight, weight))
    graph = ns.trace(model, X)
    assert graph.frozen["a.weight", 0] == "its values are packed as TwoTensor"
    with pytest.raises(EditError, match="packed as TwoTensor"):
        ns.shrink(model, X, ratio=0.5)


def test_hook_that_replaces_outputs_is_part_of_the_structure():
    model = Net().double()
    model.a.register_forward_hook(lambda module, args, output: output * module.bias.sigmoid())
    small = ns.shrink(model, X.double(), ratio=0.5)
    assert small.a.out_features == 4


def test_hook_that_holds_on_to_the_original():
    model = Net()
    held = model.a
    model.a.register_forward_hook(lambda module, args, output: output * held.bias.sigmoid())
    with pytest.raises(
        EditError, match=r"does not run .* Forward hooks of module 'a' came along as they are"
    ):
        ns.shrink(model, X, ratio=0.5)
    assert model.a is held
    assert model.a.bias.shape == (8,)


def test_parameter_shared_between_a_frozen_and_a_free_place():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 8), nn.Linear(8, 4), nn.Linear(4, 8)
            self.c.weight = self.a.weight

        def forward(self, x):
            return self.c(self.b(self.a(x).relu()))

    graph = ns.trace(Shared(), X)
    assert graph.frozen["a.weight", 0] == "a dimension of the model's output"
    assert graph.frozen["b.weight", 1] == "a dimension of the model's output"
    refused(EditError, r"nothing to remove: every dimension is fixed \(.*model's output", Shared())


def narrow(record):
    record["tensors"]["a.weight"]["0"] = [0, 1, 99]


def renamed(record):
    record["tensors"]["c.weight"] = record["tensors"].pop("a.weight")


def unknown(record):
    record["kind"] = "melt"


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (narrow, r"a\.weight.* has no index 99"),
        (renamed, r"no parameter or buffer 'c\.weight'"),
        (unknown, "'melt'"),
    ],
)
def test_records_that_do_not_fit(tamper, message):
    edits = ns.records(ns.shrink(Net(), X, ratio=0.5))
    tamper(edits[0])
    model = Net()
    before = untouched(model)
    for inplace in (False, True):
        with pytest.raises(EditError, match=message):
            ns.replay(model, edits, inplace=inplace)
    same(before, untouched(model))


def test_record_of_another_width_is_refused_though_its_indices_exist():
    class Wide(Net):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 16), nn.Linear(16, 2)

    edits = ns.records(ns.shrink(Net(), X, ratio=0.5))
    model = Wide()
    before = untouched(model)
    with pytest.raises(
        EditError, match=r"a\.weight has shape \(16, 4\), the record was made on one of \(8, 4\)"
    ):
        ns.replay(model, edits)
    same(before, untouched(model))


@pytest.mark.parametrize("verb", [ns.trace, ns.profile, lambda m, x: ns.shrink(m, x, ratio=0.5)])
@pytest.mark.parametrize("thing", ["resnet20", None, nn.Linear, 3])
def test_what_is_no_module(verb, thing):
    with pytest.raises(NetsmithError, match=r"expected a torch\.nn\.Module"):
        verb(thing, X)


def test_no_module_to_save_export_or_edit(tmp_path):
    for call in (
        lambda: ns.save("net", tmp_path / "a.nsm"),
        lambda: ns.export("net", X, tmp_path / "a.onnx"),
        lambda: ns.replay("net", []),
    ):
        with pytest.raises(NetsmithError, match=r"expected a torch\.nn\.Module"):
            call()
    assert not list(tmp_path.iterdir())


BAD_INPUTS = {
    "width": (torch.zeros(1, 5), r"Net does not run on these inputs \(tensor \(1, 5\)\)"),
    "count": ((X, X), r"Net does not run on these inputs \(tensor \(3, 4\), tensor \(3, 4\)\)"),
    "name": ({"y": X}, r"Net does not run on these inputs \(y=tensor \(3, 4\)\)"),
    "dtype": (torch.zeros(1, 4, dtype=torch.long), r"Net does not run on these inputs"),
    "none": (None, r"Net does not run on these inputs \(NoneType\)"),
}


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_inputs_that_do_not_fit(name):
    inputs, message = BAD_INPUTS[name]
    refused(TraceError, message, Net(), inputs)


def test_inputs_whose_values_do_not_fit():
    """Nothing but the values is wrong, which a trace without values cannot see."""
    model = nn.Sequential(nn.Embedding(5, 8), nn.Linear(8, 2))
    refused(TraceError, r"Sequential does not run on these inputs .*IndexError", model, torch.tensor([7]))


def test_inputs_on_which_the_original_is_not_finite():
    message = r"the original's own output holds NaN on these inputs"
    refused(EditError, message, Net(), torch.full((1, 4), torch.nan))
