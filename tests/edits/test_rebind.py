"""Optimisers follow edits: state is what it would be had the network always had its present structure."""

import copy

import pytest
import torch
from torch import nn

import netsmith as ns
from netsmith.edits import bypass, deepen, factorise, fold, merge, rebind, remove, split, undo, widen
from netsmith.errors import EditError


def make():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Sigmoid(), nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, 5)
    ).double()


X = torch.randn(9, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
KEEP = {
    "0.weight:0": torch.tensor([1, 0, 1, 1, 0, 1], dtype=torch.bool),
    "3.weight:0": torch.tensor([1, 1, 0, 1, 1, 0, 1], dtype=torch.bool),
}


class Shampoo(torch.optim.Optimizer):
    """Shampoo (Gupta et al. 2018, arXiv:1802.09568): a matrix over every dimension."""

    def __init__(self, params, lr=0.1, eps=1e-2):
        super().__init__(params, {"lr": lr, "eps": eps})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if "matrices" not in self.state[p]:
                    self.state[p]["matrices"] = [group["eps"] * torch.eye(n, dtype=p.dtype) for n in p.shape]
                update = p.grad
                for dim, matrix in enumerate(self.state[p]["matrices"]):
                    flat = p.grad.transpose(0, dim).flatten(1) if p.dim() > 1 else p.grad[:, None]
                    matrix += flat @ flat.T
                    values, vectors = torch.linalg.eigh(matrix)
                    root = vectors * values ** (-1 / (2 * p.dim())) @ vectors.T
                    update = torch.tensordot(root, update, ([1], [dim])).movedim(0, dim)
                p -= group["lr"] * update


class Elsewhere(Shampoo):
    """The same under keys with a number, as others keep it."""

    @torch.no_grad()
    def step(self):
        for state in self.state.values():
            state["matrices"] = [state.pop(f"precond_{i}") for i in range(2) if f"precond_{i}" in state]
        super().step()
        for state in self.state.values():
            state |= {f"precond_{i}": matrix for i, matrix in enumerate(state.pop("matrices"))}


ELEMENTWISE = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=1e-2, amsgrad=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0),
    "nadam": lambda p: torch.optim.NAdam(p),
    "adamax": lambda p: torch.optim.Adamax(p, eps=1e-30),
    "rmsprop": lambda p: torch.optim.RMSprop(p, momentum=0.9, centered=True, eps=1e-30),
    "adagrad": lambda p: torch.optim.Adagrad(p),
}
WHOLE = {
    "adafactor": lambda p: torch.optim.Adafactor(p, lr=1e-2),
    "muon": lambda p: torch.optim.Muon([q for q in p if q.dim() == 2], weight_decay=0),
    "shampoo": Shampoo,
    "shampoo-by-number": Elsewhere,
}


def random_steps(optimizer, model, steps, seed=0):
    """Steps on random gradients, the last of which are returned."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        gradients = {
            n: torch.randn(p.shape, generator=generator, dtype=p.dtype) for n, p in model.named_parameters()
        }
        step(optimizer, model, gradients)
    return gradients


def step(optimizer, model, gradients):
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for name, parameter in model.named_parameters():
        parameter.grad = gradients[name].clone()
    optimizer.step()
    return {name: p.detach() - before[name] for name, p in model.named_parameters()}


def along(values, dim, tensor):
    shape = [1] * tensor.dim()
    shape[dim] = -1
    return torch.as_tensor(values, dtype=tensor.dtype).reshape(shape)


def cut_to(tensor, record, name):
    for dim, index in record["tensors"].get(name, {}).items():
        tensor = tensor.index_select(int(dim), torch.tensor(index))
    return tensor


def masked(tensor, record, name):
    """Zero what was removed."""
    for dim, index in record["tensors"].get(name, {}).items():
        mask = torch.zeros(tensor.shape[int(dim)], dtype=tensor.dtype)
        mask[index] = 1
        tensor = tensor * along(mask, int(dim), tensor)
    return tensor


def mask_state(optimizer, model, record, eps=1e-2):
    """Let an optimiser forget what it knows of removed slices."""
    for name, parameter in model.named_parameters():
        state = optimizer.state.get(parameter, {})
        cuts = record["tensors"].get(name, {})
        matrices = state.get("matrices") or [state.get(f"precond_{i}") for i in range(parameter.dim())]
        for dim, index in cuts.items():
            gone = torch.ones(parameter.shape[int(dim)], dtype=torch.bool)
            gone[index] = False
            for value in state.values():
                plain = isinstance(value, torch.Tensor) and not any(value is matrix for matrix in matrices)
                if plain and value.dim() == parameter.dim() and value.shape[int(dim)] == len(gone):
                    value.index_fill_(int(dim), gone.nonzero()[:, 0], 0.0)
            if matrices[int(dim)] is not None:
                matrix = matrices[int(dim)]
                matrix[gone], matrix[:, gone] = 0.0, 0.0
                matrix[gone, gone] = eps


@pytest.mark.parametrize("name", {**ELEMENTWISE, **WHOLE})
@pytest.mark.parametrize("inplace", [False, True], ids=["copy", "inplace"])
def test_next_step_after_a_cut_is_the_masked_originals(name, inplace):
    model, twin = make(), make()
    make_optimizer = {**ELEMENTWISE, **WHOLE}[name]
    optimizer, theirs = make_optimizer(list(model.parameters())), make_optimizer(list(twin.parameters()))
    random_steps(optimizer, model, 3)
    random_steps(theirs, twin, 3)
    small, (record,) = remove(model, ns.trace(model, X), KEEP, inplace=inplace)
    rebind(optimizer, model, small)
    mask_state(theirs, twin, record)
    for _ in range(2):
        gradients = {n: masked(torch.randn_like(p), record, n) for n, p in twin.named_parameters()}
        ours = step(optimizer, small, {n: cut_to(g, record, n) for n, g in gradients.items()})
        expected = step(theirs, twin, gradients)
        for parameter, update in ours.items():
            want = cut_to(expected[parameter], record, parameter)
            if name in ("adafactor", "muon") and update.norm() > 0:
                # Both scale a whole update by the parameter's size: by how many entries it has, zeros or not.
                update, want = update / update.norm(), want / want.norm()
            rounding = 2e-2 if name == "muon" else 1e-11  # it iterates in bfloat16
            torch.testing.assert_close(update, want, rtol=1e-9, atol=rounding)


SHARES = {"3.weight:0": {1: (0.25, 0.5, 0.25), 4: (0.5, 0.5)}}


def split_of(model):
    return split(model, ns.trace(model, X), {"3.weight:0": {1: 3, 4: 2}}, shares=SHARES)


def mapped(gradients, record):
    """Gradients of the split network from those of the original."""
    result = {}
    for name, gradient in gradients.items():
        for dim, index in record["tensors"].get(name, {}).items():
            gradient = gradient.index_select(int(dim), torch.tensor(index))
            factor = record["gradients"].get(name, {}).get(dim, [1.0] * len(index))
            gradient = gradient * along(factor, int(dim), gradient)
        result[name] = gradient
    return result


def test_gradients_of_copies_are_as_recorded():
    model = make().eval()
    wider, (record,) = split_of(model)
    for one in (model, wider):
        one(X).square().mean().backward()
    expected = mapped({n: p.grad for n, p in model.named_parameters()}, record)
    for name, parameter in wider.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_state_after_a_split_is_that_of_a_network_that_was_always_split(name):
    model, always = make(), split_of(make())[0]
    optimizer = ELEMENTWISE[name](list(model.parameters()))
    theirs = ELEMENTWISE[name](list(always.parameters()))
    record = ns.records(always)[0]
    generator = torch.Generator().manual_seed(1)

    def gradients():
        return {
            n: torch.randn(p.shape, generator=generator, dtype=p.dtype) for n, p in model.named_parameters()
        }

    for _ in range(3):
        given = gradients()
        step(optimizer, model, given)
        step(theirs, always, mapped(given, record))
    wider, _ = split_of(model)
    rebind(optimizer, model, wider)
    given = mapped(gradients(), record)
    ours, expected = step(optimizer, wider, given), step(theirs, always, given)
    for parameter in ours:
        torch.testing.assert_close(ours[parameter], expected[parameter], rtol=1e-9, atol=1e-13)


def test_an_adam_step_of_a_copy_is_that_of_the_channel():
    model, twin = make(), make()
    options = {"lr": 1e-2, "eps": 1e-30}
    optimizer = torch.optim.Adam(model.parameters(), **options)
    theirs = torch.optim.Adam(twin.parameters(), **options)
    random_steps(optimizer, model, 3)
    random_steps(theirs, twin, 3)
    wider, (record,) = split_of(model)
    rebind(optimizer, model, wider)
    given = {n: torch.randn_like(p) for n, p in twin.named_parameters()}
    ours, expected = step(optimizer, wider, mapped(given, record)), step(theirs, twin, given)
    for name, update in ours.items():
        torch.testing.assert_close(update, cut_to(expected[name], record, name), rtol=1e-9, atol=1e-12)


def test_shampoo_of_a_split_keeps_its_floor():
    """Copies' rows are alike: without the floor the matrix would be singular."""
    model, always = make(), split_of(make())[0]
    optimizer, theirs = Shampoo(model.parameters()), Shampoo(always.parameters())
    record = ns.records(always)[0]
    for seed in range(3):
        torch.manual_seed(seed)
        # Rank one over the split dimension alone, so that the least eigenvalue is the floor itself.
        given = {n: torch.zeros_like(p) for n, p in model.named_parameters()}
        given["3.weight"] = torch.outer(*(torch.randn(n, dtype=torch.float64) for n in (7, 6)))
        step(optimizer, model, given)
        step(theirs, always, mapped(given, record))
    wider, _ = split_of(model)
    rebind(optimizer, model, wider)
    ours = optimizer.state[wider[3].weight]["matrices"][0]
    torch.testing.assert_close(ours, theirs.state[always[3].weight]["matrices"][0], rtol=1e-9, atol=1e-12)


def test_fresh_channels_start_from_nothing():
    model = make()
    optimizer = torch.optim.Adam(model.parameters())
    random_steps(optimizer, model, 3)
    old = optimizer.state[model[3].weight]["exp_avg_sq"].clone()
    wider, (record,) = widen(model, ns.trace(model, X), {"3.weight:0": 10})
    rebind(optimizer, model, wider)
    index = torch.tensor(record["tensors"]["3.weight"]["0"])
    first = torch.cat([torch.ones(1, dtype=torch.bool), index[1:] != index[:-1]])
    state = optimizer.state[wider[3].weight]["exp_avg_sq"]
    assert torch.equal(state[first], old)
    assert not state[~first].any()
    assert not optimizer.state[wider[5].weight]["exp_avg"][:, ~first].any()


@pytest.mark.parametrize("edit", ["remove", "split", "widen"])
@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop", "adafactor", "shampoo"])
def test_undone_edits_are_undone_for_the_optimiser(edit, name):
    model = make()
    optimizer = {**ELEMENTWISE, **WHOLE}[name](list(model.parameters()))
    random_steps(optimizer, model, 3)
    before = {n: copy.deepcopy(optimizer.state[p]) for n, p in model.named_parameters()}
    graph = ns.trace(model, X)
    edited = {
        "remove": lambda: remove(model, graph, KEEP)[0],
        "split": lambda: split_of(model)[0],
        "widen": lambda: widen(model, graph, {"3.weight:0": 10})[0],
    }[edit]()
    rebind(optimizer, model, edited)
    undone = undo(edited, model)
    rebind(optimizer, edited, undone)
    record = ns.records(edited)[0]
    for parameter_name, parameter in undone.named_parameters():
        for key, value in before[parameter_name].items():
            got = optimizer.state[parameter][key]
            if edit != "remove":
                torch.testing.assert_close(got, value, rtol=1e-9, atol=1e-13)
            elif isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                torch.testing.assert_close(got, masked(value, record, parameter_name), rtol=1e-12, atol=0)
    random_steps(optimizer, undone, 1)


def held(optimizer):
    return {id(p) for group in optimizer.param_groups for p in group["params"]}


def test_modules_that_come_and_go():
    model = nn.Sequential(nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 5)).double()
    slow, fast = (
        {"params": [model[0].weight, model[0].bias]},
        {"params": list(model[2].parameters()), "lr": 1.0},
    )
    optimizer = torch.optim.Adam([slow, fast], lr=0.1)
    random_steps(optimizer, model, 2)
    momentum = optimizer.state[model[2].bias]["exp_avg"].clone()
    thin, _ = factorise(model, "2", rank=2)
    rebind(optimizer, model, thin)
    assert [len(group["params"]) for group in optimizer.param_groups] == [2, 3]
    assert {id(p) for group in optimizer.param_groups for p in group["params"]} == set(
        map(id, thin.parameters())
    )
    assert torch.equal(optimizer.state[thin[2][1].bias]["exp_avg"], momentum)
    assert thin[2][0].weight not in optimizer.state
    random_steps(optimizer, thin, 1)
    again = undo(thin)
    rebind(optimizer, thin, again)
    assert [len(group["params"]) for group in optimizer.param_groups] == [2, 2]
    assert again[2].weight not in optimizer.state
    random_steps(optimizer, again, 1)


def test_an_inserted_block_joins_the_group_before_it():
    model = nn.Sequential(nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 5)).double()
    optimizer = torch.optim.Adam(
        [{"params": list(model[0].parameters())}, {"params": list(model[2].parameters())}]
    )
    random_steps(optimizer, model, 2)
    deep, _ = deepen(model, "1", X)
    rebind(optimizer, model, deep)
    assert held(optimizer) == set(map(id, deep.parameters()))
    random_steps(optimizer, deep, 1)
    back = undo(deep)
    rebind(optimizer, deep, back)
    assert held(optimizer) == set(map(id, back.parameters()))


def test_frozen_parameters_that_were_left_out_stay_out():
    model = make()
    optimizer = torch.optim.SGD(model[3].parameters(), lr=0.1, momentum=0.9)
    random_steps(optimizer, model, 1)
    wider, _ = split_of(model)
    rebind(optimizer, model, wider)
    assert held(optimizer) == set(map(id, wider[3].parameters()))


def test_state_of_an_unknown_shape_is_refused_and_nothing_changes():
    model = make()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    random_steps(optimizer, model, 1)
    optimizer.state[model[3].weight]["history"] = torch.zeros(4, 42)
    before = held(optimizer)
    with pytest.raises(EditError, match=r"'history' of 3.weight has shape \(4, 42\)"):
        rebind(optimizer, model, split_of(model)[0])
    assert held(optimizer) == before
    assert set(optimizer.state) == set(model.parameters())


def test_edits_that_are_not_between_the_models_are_refused():
    model = make()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    wider, _ = split_of(model)
    with pytest.raises(EditError, match="not the edits between"):
        rebind(optimizer, model, wider, [])


class Blocks(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.norm, self.mid = nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Linear(6, 6)
        self.block, self.last = Doubling(), nn.Linear(6, 3)

    def forward(self, x):
        return self.last(torch.tanh(self.block(self.mid(self.norm(self.stem(x))))))


class Doubling(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(6, 6)

    def forward(self, x):
        return x + torch.tanh(self.inner(x))


@pytest.mark.parametrize(
    "edit",
    [
        lambda model: fold(model, X),
        lambda model: merge(fold(model, X)[0], X),
        lambda model: bypass(model, ["block"], X),
        lambda model: deepen(model, "block", X, style="residual"),
    ],
    ids=["fold", "fold-merge", "bypass", "deepen"],
)
def test_every_kind_is_followed(edit):
    torch.manual_seed(0)
    model = Blocks().double().eval()
    optimizer = torch.optim.Adam(model.parameters())
    random_steps(optimizer, model, 2)
    edited, _ = edit(model)
    rebind(optimizer, model, edited)
    assert held(optimizer) == set(map(id, edited.parameters()))
    assert optimizer.state[edited.last.weight]["step"] == 2
    random_steps(optimizer, edited, 1)
    back = undo(edited, model, steps=len(ns.records(edited)))
    rebind(optimizer, edited, back)
    assert held(optimizer) == set(map(id, back.parameters()))
    random_steps(optimizer, back, 1)
