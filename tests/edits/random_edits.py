"""Random sequences of edits over random small networks: every edit exact or refused, nothing half done."""

from __future__ import annotations

import copy
import json
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "graph"))

from random_networks import KINDS, WIDTHS, RandomNetwork
from small_networks import NETWORKS, SEQUENCE

import netsmith as ns
from netsmith.closeness import relative_difference
from netsmith.cutting.verify import masked_output
from netsmith.edits import bypass, deepen, factorise, fold, merge, remove, replay, split, undo, widen
from netsmith.errors import FileError, NetsmithError

EXACT = 1e-9
"""Largest relative difference of outputs in double precision over a whole sequence."""
NAMES = ("remove", "split", "widen", "undo", "factorise", "deepen", "bypass", "fold", "merge")
WEIGHTS = (5, 5, 3, 3, 2, 2, 1, 1, 1)


class ViolationError(AssertionError):
    """An edit that was neither exact nor refused, or left something behind."""


class Branch(nn.Module):
    """``x + f(x)``: a block that can be taken out."""

    def __init__(self):
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(8), nn.Linear(8, 12), nn.Linear(12, 8)

    def forward(self, x):
        return x + self.down(F.gelu(self.up(self.norm(x))))


class ResidualStack(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Linear(6, 8), nn.Linear(8, 3)
        self.first, self.second, self.third = Branch(), Branch(), Branch()

    def forward(self, x):
        return self.head(self.third(self.second(self.first(self.stem(x)))))


class Sequence:
    """A network of a seed and the random edits that it goes through."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.seed = seed
        name = self.random.choice((*(["random"] * 3 * len(NETWORKS)), *NETWORKS, *(["residual-stack"] * 6)))
        if name == "random":
            kinds = [self.random.choice(KINDS) for _ in range(self.random.randint(1, 5))]
            width, groups = self.random.choice(WIDTHS), self.random.choice((2, 4))
            self.make = lambda: RandomNetwork(kinds, width, groups, seed)
            self.inputs = torch.randn(2, 3, 8, 8, generator=self.generator(), dtype=torch.float64)
        elif name == "residual-stack":
            self.make, self.inputs = ResidualStack, SEQUENCE
        else:
            self.make, self.inputs = NETWORKS[name]
        self.name = name if name != "random" else "-".join(kinds)
        self.stages = [self.fresh()]
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.worst = 0.0

    def generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.random.randrange(2**32))

    def fresh(self) -> nn.Module:
        torch.manual_seed(self.seed)
        return self.make().double().eval()

    def output(self, model: nn.Module) -> torch.Tensor:
        with torch.no_grad():
            return model(*self.inputs) if isinstance(self.inputs, tuple) else model(self.inputs)

    def run(self) -> None:
        """Make up to six edits, then replay, save and load."""
        for _ in range(self.random.randint(1, 6)):
            self.step(self.random.choices(NAMES, WEIGHTS)[0])
        self.check_records()

    def step(self, kind: str) -> None:
        """Make one edit, on a copy or in place."""
        model = self.stages[-1]
        inplace = kind != "undo" and self.random.random() < 0.3
        target = replay(self.fresh(), ns.records(model)) if inplace else model
        before = snapshot(target)
        random_state = torch.get_rng_state()
        try:
            edited, expected = getattr(self, kind)(target, inplace)
        except NetsmithError as refusal:
            if "\n" in str(refusal):
                raise ViolationError(f"{kind}: a refusal of several lines: {refusal}") from refusal
            self.check(kind, same(before, snapshot(target)), "a refused edit changed the model")
            self.outcomes[kind, "refused"] += 1
            return
        self.check(kind, torch.equal(random_state, torch.get_rng_state()), "the random state moved")
        if not inplace:
            self.check(kind, same(before, snapshot(target)), "an edit of a copy changed the model")
        difference = relative_difference(self.output(edited), expected)
        self.worst = max(self.worst, difference)
        self.check(kind, difference <= EXACT, f"the output differs by {difference:.1e}")
        self.outcomes[kind, "exact"] += 1
        if kind == "undo":
            self.stages.pop()
            self.stages[-1] = edited
        elif ns.records(edited) != ns.records(model):
            self.stages.append(edited)

    def check(self, kind: str, holds: bool, what: str) -> None:
        if not holds:
            raise ViolationError(f"seed {self.seed} ({self.name}), {kind} after {self.history()}: {what}")

    def history(self) -> list[str]:
        return [ns.edits.describe(record) for record in ns.records(self.stages[-1])]

    def check_records(self) -> None:
        """The records alone make the same model, and a file gives it back."""
        model = self.stages[-1]
        records = json.loads(json.dumps(ns.records(model)))
        again = replay(self.fresh(), records)
        self.check("replay", not ns.diff(again, model), f"another structure:\n{ns.diff(again, model)}")
        difference = relative_difference(self.output(again), self.output(model))
        self.check("replay", difference <= EXACT, f"the output differs by {difference:.1e}")
        with tempfile.TemporaryDirectory() as folder:
            try:
                loaded = ns.load(ns.save(model, Path(folder) / "model.nsm"))
            except FileError as refusal:
                if self.stages[0] is model or not storable(self.stages[0], folder):
                    self.outcomes["file", "refused"] += 1
                    return
                raise ViolationError(
                    f"seed {self.seed}: {self.history()} cannot be saved: {refusal}"
                ) from refusal
        self.check("file", torch.equal(self.output(loaded), self.output(model)), "the output differs")
        self.check("file", ns.records(loaded) == records, "other records")
        self.outcomes["file", "exact"] += 1

    # The edits: each returns the edited model and what it should put out ------------------------------------

    def remove(self, model, inplace):
        graph = ns.trace(model, self.inputs)
        generator = self.generator()
        keep = {}
        for group in self.some(graph.groups):
            mask = torch.rand(group.size, generator=generator) < self.random.choice((0.3, 0.7, 0.9))
            mask[self.random.randrange(group.size)] = True
            keep[group.name] = mask
        expected = masked_output(model, self.inputs, graph, keep)
        return remove(model, graph, keep, inplace=inplace)[0], expected

    def split(self, model, inplace):
        graph, expected = ns.trace(model, self.inputs), self.output(model)
        channels = {}
        for group in self.some(graph.groups):
            if self.random.random() < 0.4:
                channels[group.name] = range(group.size)
            else:
                count = self.random.randint(1, 3)
                channels[group.name] = [self.random.randrange(group.size) for _ in range(count)]
        return split(model, graph, channels, inplace=inplace)[0], expected

    def widen(self, model, inplace):
        graph, expected = ns.trace(model, self.inputs), self.output(model)
        sizes = {group.name: group.size + self.random.randint(1, 4) for group in self.some(graph.groups)}
        return widen(model, graph, sizes, generator=self.generator(), inplace=inplace)[0], expected

    def undo(self, model, inplace):
        undone = undo(model, self.stages[0])
        lossy = ns.records(model)[-1]["kind"] == "factorise"
        # A product of factors is what they compute, not what they were made from.
        expected = self.output(model if lossy else self.stages[-2])
        if ns.diff(undone, self.stages[-2]):
            raise ViolationError(
                f"seed {self.seed}: undoing {self.history()[-1]} left\n{ns.diff(undone, self.stages[-2])}"
            )
        return undone, expected

    def factorise(self, model, inplace):
        path, module = self.random.choice(
            [pair for pair in model.named_modules() if hasattr(pair[1], "weight")]
        )
        full = (
            min(module.weight.flatten(1).shape)
            if module.weight is not None and module.weight.dim() > 1
            else 1
        )
        return factorise(model, path, rank=full, inplace=inplace)[0], self.output(model)

    def deepen(self, model, inplace):
        expected = self.output(model)
        path = self.random.choice([path for path, _ in model.named_modules() if path])
        style = self.random.choice(("identity", "residual"))
        return deepen(model, path, self.inputs, style=style, inplace=inplace)[0], expected

    def bypass(self, model, inplace):
        blocks = [path for path, module in model.named_modules() if isinstance(module, Branch)]
        path = self.random.choice(blocks or [path for path, _ in model.named_modules() if path])
        twin = copy.deepcopy(model)
        edited = bypass(model, [path], self.inputs, inplace=inplace)[0]
        # The oracle: what the block gets is what it gives.
        twin.get_submodule(path).register_forward_hook(lambda _, arguments, __: arguments[0])
        return edited, self.output(twin)

    def fold(self, model, inplace):
        expected = self.output(model)
        return fold(model, self.inputs, inplace=inplace)[0], expected

    def merge(self, model, inplace):
        expected = self.output(model)
        return merge(model, self.inputs, force=self.random.random() < 0.5, inplace=inplace)[0], expected

    def some(self, groups):
        if not groups:
            raise NetsmithError("this network has no groups")
        return self.random.sample(groups, self.random.randint(1, min(3, len(groups))))


def snapshot(model: nn.Module) -> tuple[object, ...]:
    """Everything an edit of a copy must leave alone."""
    values = {name: value.clone() for name, value in model.state_dict().items()}
    held = [(name, id(tensor)) for name, tensor in (*model.named_parameters(), *model.named_buffers())]
    modes = [(name, id(module), module.training) for name, module in model.named_modules()]
    return values, held, modes, str(model), ns.records(model)


def same(before: tuple[object, ...], after: tuple[object, ...]) -> bool:
    values, now = before[0], after[0]
    equal = values.keys() == now.keys() and all(torch.equal(values[name], now[name]) for name in values)
    return equal and before[1:] == after[1:]


def storable(model: nn.Module, folder: str) -> bool:
    try:
        ns.save(model, Path(folder) / "original.nsm")
    except FileError:
        return False
    return True
