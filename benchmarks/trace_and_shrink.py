"""CPU time of tracing and halving a network: netsmith against Torch-Pruning, interleaved in one run.

Both start from the same fresh network, build their graph from one input, rank channels by group magnitude
and remove half of every group. Verification is what netsmith does on top by default; its time stands beside.

    pip install -r benchmarks/requirements.txt && python benchmarks/trace_and_shrink.py
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

import netsmith as ns


def torch_pruning(model: nn.Module, x: Tensor) -> nn.Module:
    import torch_pruning as tp

    last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    pruner = tp.pruner.BasePruner(
        model,
        x,
        importance=tp.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=0.5,
        ignored_layers=[last],
    )
    pruner.step()
    return model


def netsmith(model: nn.Module, x: Tensor) -> nn.Module:
    return ns.shrink(model, x, ratio=0.5, scope="local", verify=False)


def verified(model: nn.Module, x: Tensor) -> nn.Module:
    return ns.shrink(model, x, ratio=0.5, scope="local")


def cpu_seconds(
    run: Callable[[nn.Module, Tensor], nn.Module], model: nn.Module, x: Tensor
) -> tuple[float, int]:
    fresh = copy.deepcopy(model)
    start = time.process_time()
    small = run(fresh, x)
    return time.process_time() - start, sum(parameter.numel() for parameter in small.parameters())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    heads = ("network", "params left", "torch-pruning", "netsmith", "ratio", "verified")
    print("{:10} {:>12} {:>14} {:>9} {:>6} {:>9}".format(*heads))
    for name in ("vgg16-bn", "resnet56"):
        model = ns.zoo.build(name, classes=10, input_shape=(3, 32, 32)).eval()
        x = torch.randn(1, 3, 32, 32)
        seconds: dict[str, list[float]] = {}
        left: set[int] = set()
        for repeat in range(repeats + 1):  # the first round warms up
            for run in (torch_pruning, netsmith, verified):
                taken, params = cpu_seconds(run, model, x)
                left.add(params)
                if repeat:
                    seconds.setdefault(run.__name__, []).append(taken)
        peer, ours, checked = (statistics.median(values) for values in seconds.values())
        pairs = zip(seconds["netsmith"], seconds["torch_pruning"], strict=True)
        ratio = statistics.median(a / b for a, b in pairs)
        counts = "/".join(str(count) for count in sorted(left))
        print(f"{name:10} {counts:>12} {peer:13.3f}s {ours:8.3f}s {ratio:6.2f} {checked:8.3f}s")


if __name__ == "__main__":
    main()
