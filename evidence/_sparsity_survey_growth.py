"""Check 3 of the sparsity survey: what RigL and SET keep true after every update."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from common import Evidence
from netsmith.clock import Clock
from netsmith.sparsity import SparseTraining, erdos_renyi, layer_masks, magnitudes


def growth(evidence: Evidence) -> None:
    """Check 3: RigL and SET keep the count of every layer, grow zeros, RigL where gradients are largest."""
    for kind in ("gradient", "random"):
        model = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 5))
        scores = magnitudes(model)
        shapes = {name: score.shape for name, score in scores.items()}
        masks = layer_masks(scores, erdos_renyi(shapes, 0.2))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
        sparse = SparseTraining(model, masks, growth=kind, every=10, optimizer=optimizer)
        wrong = {"counts": 0, "new weights not 0": 0, "masked weights not 0": 0, "not the largest": 0}
        updates = 0
        with sparse:
            for step in range(1, 201):
                before = {name: mask.clone() for name, mask in sparse.masks.items()}
                x = torch.randn(16, 20)
                optimizer.zero_grad()
                dense = _dense_gradients(model, x)
                (model(x) - 1).square().mean().backward()
                optimizer.step()
                sparse(model, Clock(step, 200, 1))
                for name, mask in sparse.masks.items():
                    weight, new = model.get_parameter(name).detach(), mask & ~before[name]
                    updates += int(new.any())
                    wrong["counts"] += int(mask.sum() != masks[name].sum())
                    wrong["new weights not 0"] += int(weight[new].any())
                    wrong["masked weights not 0"] += int(weight[~mask].any())
                    if kind == "gradient" and new.any():
                        idle = dense[name][~mask & ~before[name]].abs().max()
                        wrong["not the largest"] += int(dense[name][new].abs().min() < idle)
        name = {"gradient": "RigL", "random": "SET"}[kind]
        evidence.row(
            f"{name}: violations in 200 steps, {updates} layer updates (count, new, masked, order)",
            reference="0",
            got=sum(wrong.values()),
            holds=not any(wrong.values()) and updates > 0,
        )


def _dense_gradients(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    twin = copy.deepcopy(model)
    (twin(x) - 1).square().mean().backward()
    return {name: p.grad for name, p in twin.named_parameters() if p.grad is not None}
