"""Checks one architecture after another, as `coverage.py` names them on the standard input.

    echo '["NAME", ["shrunk", "exact"]]' | python coverage_worker.py FILE.py [--timeout CPU_SECONDS]

The first line of the answer is the list of names, then every check is a line of its own as soon as it is
done: what a crash takes down is one check, not the results before it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

sys.path.insert(0, str(Path(__file__).parent))

import coverage_oracle as oracle
import netsmith as ns
from coverage_page import NOT_SHRUNK
from coverage_peer import halve_with_torch_pruning
from netsmith.cutting.verify import relative_difference
from netsmith.graph.running import call_arguments

PEER_SECONDS = 90.0
GROUPS_TO_SPLIT = 20
"""Of how many groups one channel is tried to be split: a refusal with a reason is not a wrong answer."""


class OutOfTimeError(BaseException):
    """A check took more CPU time than it may; no ``except Exception`` on the way is meant to catch it."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise OutOfTimeError(f"out of time ({seconds:.0f} s of CPU)")

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def architectures(file: Path) -> dict[str, tuple[Callable[[], nn.Module], Any]]:
    spec = importlib.util.spec_from_file_location(file.stem + "_architectures", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return {name: (make, inputs) for name, make, inputs in module.architectures()}


def built(make: Callable[[], nn.Module], inputs: Any) -> tuple[nn.Module, Any]:
    """Return the network in evaluation mode and its inputs, the same ones every time.

    What starts as a constant (a bias of zeros, the scale of a normalisation) is moved a little: a network
    whose branches start at zero would hide a wrong cut.
    """
    torch.manual_seed(0)
    model = make().eval()
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            moves = isinstance(tensor, nn.Parameter) or name.endswith(("running_mean", "running_var"))
            if moves and tensor.is_floating_point() and tensor.numel() > 1:
                flat = tensor.reshape(-1)
                if bool((flat == flat[0]).all()):
                    tensor.add_(torch.rand_like(tensor), alpha=0.1)
    return model, inputs() if callable(inputs) else inputs


def difference(one: nn.Module, other: nn.Module, inputs: Any) -> float:
    args, kwargs = call_arguments(inputs)
    with torch.no_grad():
        left, right = one(*args, **kwargs), other(*args, **kwargs)
    pairs = zip(tree_leaves(left), tree_leaves(right), strict=True)
    return max(relative_difference(b, a) for a, b in pairs if isinstance(a, Tensor))


class Checks:
    """The checks of one architecture; each returns "yes" or why not, and may note figures."""

    def __init__(self, make: Callable[[], nn.Module], inputs: Any, folder: str) -> None:
        self.make = make
        self.model, self.inputs = built(make, inputs)
        self.small: nn.Module | None = None
        self.folder = Path(folder)
        self.figures: dict[str, Any] = {"parameters": _count(self.model)}

    def shrunk(self) -> str:
        # The first look at this network: nothing of it is cached when the clock starts.
        start = time.process_time()
        ns.shrink(self.model, self.inputs, ratio=0.5, scope="local", verify=False)
        middle = time.process_time()
        self.small = ns.shrink(self.model, self.inputs, ratio=0.5, scope="local")
        self.figures["seconds"] = middle - start
        self.figures["verification"] = max(0.0, time.process_time() - middle - (middle - start))
        self.figures["left"] = _count(self.small)
        return "yes" if self.figures["left"] < self.figures["parameters"] else "no parameter went"

    def traced(self) -> str:
        graph = ns.trace(self.model, self.inputs)
        self.figures["groups"] = len(graph.groups)
        self.figures["operators"] = len(graph.operations)
        return "yes"

    def exact(self) -> str:
        if self.small is None:
            return NOT_SHRUNK
        model, inputs, limit = self._double()
        self.figures["precision"] = "float64" if limit < 1e-6 else "float32"
        small = ns.shrink(model, inputs, ratio=0.5, scope="local")
        graph = ns.trace(model, inputs)
        self.figures["oracle"] = None
        if oracle.applies(graph):
            away = difference(oracle.zeroed_readers(model, graph, small), small, inputs)
            self.figures["oracle"] = away
            if not away <= limit:
                return f"differs from the original with zeroed readers by {away:.1e}"
        return "yes"

    def grown(self) -> str:
        model, inputs, _ = self._double()
        graph = ns.trace(model, inputs)
        if not graph.groups:
            return "nothing to split"
        refused = []
        for group in graph.groups[:GROUPS_TO_SPLIT]:
            try:
                larger, _ = ns.edits.split(model, graph, {group.name: [0]})
            except ns.errors.EditError as error:
                refused.append(str(error))
                continue
            away = difference(model, larger, inputs)
            if _count(larger) <= self.figures["parameters"]:
                return "no parameter came"
            return "yes" if away <= 1e-6 else f"outputs moved by {away:.1e}"
        return refused[0]

    def _double(self) -> tuple[nn.Module, Any, float]:
        """Return the network in double precision where it runs so, its inputs, and how exact it then is."""
        model, inputs = self._again().double(), tree_map_only(Tensor, _double, self.inputs)
        args, kwargs = call_arguments(inputs)
        try:
            model(*args, **kwargs)
        except Exception:  # code that insists on single precision
            return self._again(), self.inputs, 1e-4
        return model, inputs, 1e-8

    def _again(self) -> nn.Module:
        return built(self.make, self.inputs)[0]

    def saved(self) -> str:
        if self.small is None:
            return NOT_SHRUNK
        path = self.folder / "small.nsm"
        try:
            ns.save(self.small, path)
            again = ns.load(path)
        except (
            ns.errors.FileError
        ):  # attributes that are code come from a fresh instance, the rest from the file
            ns.save(self.small, path, inputs=self.inputs)
            again = ns.load(path, into=self._again())
        away = difference(self.small, again.eval(), self.inputs)
        return "yes" if away == 0 else f"outputs moved by {away:.1e}"

    def exported(self) -> str:
        if self.small is None:
            return NOT_SHRUNK
        written = ns.export(self.small, self.inputs, self.folder / "small.onnx", dynamic_batch=False)
        self.figures["parity"] = written.difference
        return "yes"

    def peer(self) -> str:
        fresh = self._again()
        start = time.process_time()
        try:
            return halve_with_torch_pruning(fresh, self.inputs)
        finally:
            self.figures["peer_seconds"] = time.process_time() - start


def _double(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def _count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def check(entry: tuple[Callable[[], nn.Module], Any], names: list[str], timeout: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            checks = Checks(*entry, folder)
        except Exception as error:
            say({"check": names[0], "cell": f"cannot be built: {reason(error)}", "figures": {}})
            return
        for name in names:
            say({"begin": name})
            try:
                with at_most(PEER_SECONDS if name == "peer" else timeout):
                    cell = getattr(checks, name)()
            except (Exception, OutOfTimeError) as error:
                cell = reason(error)
            say({"check": name, "cell": cell, "figures": checks.figures})


def reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    text = text.replace(str(Path(nn.__file__).parents[2]) + "/", "")
    # Where a file was tried out is chance; what it is called is enough.
    text = re.sub(rf"{re.escape(tempfile.gettempdir())}/(?:[^\s:]*/)?", "", text)
    text = re.sub(r"\.(\S+\.onnx)\.[0-9a-f]+\.part", r"\1", text)
    known = isinstance(error, (ns.errors.NetsmithError, OutOfTimeError))
    return (text if known else f"{type(error).__name__}: {text}")[:300]


def say(value: Any) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()


def warm_up(with_peer: bool) -> None:
    """What is imported on first use is not an architecture's time."""
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Softplus(), nn.Flatten(), nn.Linear(288, 4)]
    net, x = nn.Sequential(*layers).eval(), torch.randn(1, 3, 8, 8)
    ns.shrink(net, x, ratio=0.5, scope="local")
    if with_peer:
        halve_with_torch_pruning(net, x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--timeout", type=float, default=120.0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    found = architectures(options.file)
    say(list(found))
    warm = set()
    for line in sys.stdin:
        name, checks = json.loads(line)
        if ("peer" in checks) not in warm:
            warm.add("peer" in checks)
            warm_up("peer" in checks)
        check(found[name], checks, options.timeout)
        say({"done": name})


if __name__ == "__main__":
    # Libraries print as they please; the answers keep the standard output to themselves.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    main()
