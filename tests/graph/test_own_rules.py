"""Rules of the user's own: custom operators and opaque modules are cut exactly, and mistakes are named."""

import doctest
import importlib

import pytest
import torch
from test_exactness import random_keep
from torch import Tensor, nn

import netsmith as ns
from netsmith.cutting.verify import masked_output, relative_difference
from netsmith.edits import remove
from netsmith.errors import EditError, TraceError


@torch.library.custom_op("owntest::scale", mutates_args=())
def scale(x: Tensor, weight: Tensor) -> Tensor:
    return x * weight.sigmoid()


@scale.register_fake
def _(x, weight):
    return torch.empty_like(x)


@torch.library.custom_op("owntest::mix", mutates_args=())
def mix(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    y = x @ weight
    return y, y.square().sum(-1)


@torch.library.custom_op("owntest::centre", mutates_args=())
def centre(x: Tensor, weight: Tensor, groups: int) -> Tensor:
    parts = x.unflatten(-1, (groups, -1))
    return (parts - parts.mean(-1, keepdim=True)).flatten(-2) * weight


def scale_rule(call):
    x, weight = call.axes("x"), call.axes("weight")
    call.equate(x[-1], weight[0])
    return x


def mix_rule(call):
    *rows, inner = call.axes("x")
    weight = call.axes("weight")
    call.contract(inner, weight[0])
    call.macs(*rows, inner, weight[1])
    out = call.produce(weight[1])
    call.freeze(out, "its squares are summed")
    return [(*rows, out), tuple(rows)]


def centre_rule(call):
    *rows, channels = call.axes("x")
    groups, _ = call.factor(channels, [call.argument("groups"), channels.size // call.argument("groups")])
    call.size("groups", groups)
    call.equate(channels, call.axes("weight")[0])
    call.read(channels, statistic=True)
    return (*rows, channels)


RULES = {"owntest::scale": scale_rule, torch.ops.owntest.mix: mix_rule, centre: centre_rule}


class Whitened(nn.Module):
    """Works in NumPy, so nothing of its inside can be traced: projects, centres over channels, scales."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.width = outputs
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.inner = nn.ParameterDict({"scale": torch.randn(outputs)})
        self.register_buffer("shift", torch.randn(outputs))

    def forward(self, x, *, flip=False):
        y = x.detach().numpy() @ self.weight.detach().numpy().T
        y = torch.from_numpy(y).view(len(x), self.width)
        return {"y": y * self.inner["scale"] + self.shift, "flipped": flip}


class Standardised(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gain = nn.Parameter(torch.randn(width))

    def forward(self, x):
        x = torch.from_numpy(x.detach().numpy())
        return (x - x.mean(-1, keepdim=True)) / x.std(-1, keepdim=True) * self.gain


def whitened_rule(call):
    rows, inputs = call.axes("x")
    weight = call.parameter("weight")
    call.contract(inputs, weight[1])
    out = call.produce(weight[0])
    for name in ("inner.scale", "shift"):
        call.equate(out, call.parameter(name)[0])
    call.size("width", out)
    return (rows, out)


def standardised_rule(call):
    channels = call.axes("x")[-1]
    call.read(channels, statistic=True)
    call.equate(channels, call.parameter("gain")[0])
    return call.axes("x")


class Operators(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last, self.groups = nn.Linear(5, 12), nn.Linear(12, 3), 4
        self.scale, self.weight = nn.Parameter(torch.randn(12)), nn.Parameter(torch.randn(12, 6))
        self.gain = nn.Parameter(torch.randn(12))

    def forward(self, x):
        h = torch.ops.owntest.scale(self.first(x), self.scale)
        h = torch.ops.owntest.centre(h, self.gain, self.groups)
        y, squares = mix(h, self.weight)
        return self.last(h) + squares[:, None], y


class Modules(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.opaque, self.norm = nn.Linear(5, 8), Whitened(8, 10), Standardised(10)
        self.last = nn.Linear(10, 3)

    def forward(self, x):
        return self.last(self.norm(self.opaque(self.first(x).tanh())["y"]).relu())


MODULE_RULES = {Whitened: whitened_rule, Standardised: standardised_rule}
CASES = {"operators": (Operators, RULES, [3, 4]), "modules": (Modules, MODULE_RULES, [8, 10])}
X = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def make(name):
    torch.manual_seed(0)
    return CASES[name][0]().double().eval()


def outputs(value):
    return value if isinstance(value, tuple) else (value,)


@pytest.mark.parametrize("name", CASES)
def test_groups_follow_the_rules(name):
    graph = ns.trace(make(name), X, rules=CASES[name][1])
    assert sorted(group.size for group in graph.groups) == CASES[name][2]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", CASES)
def test_cut_equals_masked_original(name, seed):
    model, rules = make(name), CASES[name][1]
    graph = ns.trace(model, X, rules=rules)
    keep = random_keep(graph, seed)
    expected = masked_output(model, X, graph, keep)
    small, records = remove(model, graph, keep)
    again = ns.replay(make(name), records)
    with torch.no_grad():
        got, replayed = outputs(small(X)), outputs(again(X))
    for one, want, other in zip(got, outputs(expected), replayed, strict=True):
        assert relative_difference(one, want) <= 1e-10
        assert torch.equal(one, other)


def test_masked_original_of_a_sum_is_zeroed_by_hand():
    """An oracle that knows nothing of the rule: zero the weights that read the removed channels."""
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), Whitened(8, 10)).double()

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.last = model, nn.Linear(10, 3).double()

        def forward(self, x):
            return self.last(self.body(x)["y"])

    net = Net().eval()
    graph = ns.trace(net, X, rules=MODULE_RULES)
    keep = random_keep(graph, 1)
    small, _ = remove(net, graph, keep)
    with torch.no_grad():
        got = small(X)
        net.body[2].weight[:, ~keep["body.0.weight:0"]] = 0
        net.last.weight[:, ~keep["body.2.weight:0"]] = 0
        assert relative_difference(got, net(X)) <= 1e-10


@pytest.mark.parametrize("name", CASES)
def test_shrink_verifies_and_saves_what_it_cut(name, tmp_path):
    model, rules = make(name), CASES[name][1]
    small = ns.shrink(model, X, ratio=0.5, rules=rules)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.parameters())
    again = ns.load(ns.save(small, tmp_path / "small.nsm"))
    assert all(torch.equal(a, b) for a, b in zip(outputs(again(X)), outputs(small(X)), strict=True))


def test_attributes_and_arguments_are_mended():
    small = ns.shrink(make("modules"), X, ratio=0.5, scope="local", rules=MODULE_RULES)
    assert small.opaque.width == 5
    graph = ns.trace(make("operators"), X, rules=RULES)
    (heads,) = (group.name for group in graph.groups if group.size == 4)
    small, _ = remove(make("operators"), graph, {heads: torch.arange(4) < 3})
    assert (small.groups, small.first.out_features) == (3, 9)


def test_macs_a_rule_states_are_counted():
    def macs(rules):
        return ns.cost.Cost(ns.trace(make("operators"), X, rules=rules)).total()["macs"]

    silent = {
        **RULES,
        torch.ops.owntest.mix: lambda call: [
            (*call.axes("x")[:1], call.axes("weight")[1]),
            call.axes("x")[:1],
        ],
    }
    assert macs(RULES) - macs(silent) == 4 * 12 * 6


def test_without_a_rule_everything_is_frozen():
    graph = ns.trace(make("operators"), X)
    assert not graph.groups
    assert "owntest.scale" in graph.frozen["scale", 0]


def test_what_a_rule_does_not_mention_stays():
    graph = ns.trace(make("operators"), X, rules={**RULES, "owntest::scale": lambda call: call.axes("x")})
    assert graph.frozen["scale", 0] == "the rule for owntest::scale says nothing of it"


def test_registered_rule_serves_every_verb_and_gives_way_to_one_for_a_call():
    @torch.library.custom_op("owntest::halve", mutates_args=())
    def halve(x: Tensor) -> Tensor:
        return x / 2

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(5, 8), nn.Linear(8, 2)

        def forward(self, x):
            return self.b(halve(self.a(x)))

    net = Net().double()
    assert not ns.trace(net, X).groups

    @ns.graph.rule(halve)
    def rule(call):
        return call.axes("x")

    assert [group.size for group in ns.profile(net, X).graph.groups] == [8]
    assert ns.shrink(net, X, ratio=0.5).a.out_features == 4
    frozen = {"owntest::halve": lambda call: tuple(call.freeze(d, "as I say") for d in call.axes("x"))}
    assert ns.trace(net, X, rules=frozen).frozen["a.weight", 0] == "as I say"


def test_compress_trains_and_cuts_what_has_a_registered_rule():
    class Cube(nn.Module):
        """Sorted along the channels and back: nothing that could be followed by itself."""

        def forward(self, x):
            order = x.argsort(-1)
            return x.gather(-1, order).gather(-1, order.argsort(-1)) ** 3

    ns.graph.rule(Cube)(lambda call: call.axes("x"))
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), Cube(), nn.Linear(16, 10))
    task = ns.tasks.load("digits", train_size=60, test_size=30)
    result = ns.compress(model, task, budget=ns.Budget(macs=0.5), epochs=1, progress=False)
    assert result.model[1].out_features == 8


BAD = {
    "too few": (lambda call: call.axes("x")[:1], r"rule for owntest::scale returned 1 dimensions of sizes"),
    "other sizes": (lambda call: call.axes("x")[::-1], r"sizes \(12, 4\) for an output of shape \(4, 12\)"),
    "nothing": (lambda call: None, r"rule for owntest::scale returned NoneType None; expected a tuple"),
    "raises": (lambda call: call.axes("x")[7], r"rule for owntest::scale raised IndexError"),
    "no argument": (lambda call: call.axes("y"), r"no argument 'y'; there are: x, weight"),
    "no module": (lambda call: call.parameter("w"), r"has no parameter or buffer 'w'"),
}


@pytest.mark.parametrize("name", BAD)
def test_mistakes_name_the_rule(name):
    wrong, message = BAD[name]
    with pytest.raises(TraceError, match=message):
        ns.trace(make("operators"), X, rules={**RULES, "owntest::scale": wrong})


def wrong_scale(call):
    """Lets the channels go without those of the weight: the smaller model cannot run."""
    call.freeze(call.axes("weight")[0], "wrongly")
    return call.axes("x")


def unread(call):
    """Lets the channels go as if the norm did not depend on all of them."""
    call.equate(call.axes("x")[-1], call.parameter("gain")[0])
    return call.axes("x")


@pytest.mark.parametrize(
    ("name", "wrong", "culprit"),
    [
        ("operators", {"owntest::scale": wrong_scale}, "owntest::scale"),
        ("modules", {Standardised: unread}, "Stand"),
    ],
)
def test_wrong_rules_are_found_by_the_verification_and_named(name, wrong, culprit):
    model = make(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(EditError, match=rf"Check your rule for .*{culprit}"):
        ns.shrink(model, X, ratio=0.5, rules={**CASES[name][1], **wrong})
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)
    assert all("forward" not in vars(module) for module in model.modules())


@pytest.mark.parametrize("target", ["scale", 3, nn.Linear(1, 1), "a::"])
def test_targets_that_are_none(target):
    with pytest.raises(TraceError, match=r"expected an operator's name such as 'mylib::scale'"):
        ns.graph.rule(target)


@pytest.mark.parametrize("name", ["graph.own_rules", "wrappers", "cutting.program"])
def test_docstring_examples_run(name):
    outcome = doctest.testmod(importlib.import_module(f"netsmith.{name}"))
    assert outcome.attempted
    assert not outcome.failed
