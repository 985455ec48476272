"""RigL: train with few weights, and let which ones they are follow the gradients."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from netsmith.cards import card, require_served
from netsmith.recipes.nonzeros import density_for, note_nonzeros

if TYPE_CHECKING:
    from torch import nn

    from netsmith.recipes.job import Job


@card(
    title="RigL: sparse training that grows weights where gradients are large",
    paper="U. Evci, T. Gale, J. Menick, P. S. Castro, E. Elsen, 2020, arXiv:1911.11134",
    venue="ICML 2020",
    differs=(
        "starts from the trained network's largest weights of each layer instead of from random ones; "
        "gradients are those of the batch of the step"
    ),
    budgets=("params",),
    nonzeros=True,
)
def rigl(job: Job) -> nn.Module:
    """Return the model with as many weights as the budget allows, trained while weak ones gave way to others.

    Layers get the densities of Erdos-Renyi graphs with kernels; in each the largest weights begin. The budget
    is ``params`` alone: the parameters that are not zero. Tensors keep their shapes, so that MACs, bytes and
    time stay; ``compress`` counts non-zeros beside parameters.

    Options:
        growth: ``"gradient"``, or ``"random"`` for SET.
        fraction: of each layer's weights that the first update replaces, between 0 and 1.
        every: steps from one update to the next.
        end: share of the epochs after which the weights stay the same ones.
        learning_rate: 0 takes the trainer's default.

    Raises:
        BudgetError: a budget of another kind, or one below the biases and norms.
        NetsmithError: an option out of range.
    """
    from netsmith.sparsity import SparseTraining, erdos_renyi_kernel, layer_masks, magnitudes
    from netsmith.train import default_optimizer

    settings = job.settings(growth="gradient", fraction=0.3, every=50, end=0.75, learning_rate=0.0)
    scores = magnitudes(job.model)
    require_served(rigl, job.budget, "rigl")
    density = density_for(job.model, job.budget, "rigl")
    counts = erdos_renyi_kernel({name: score.shape for name, score in scores.items()}, density)
    optimizer = default_optimizer(job.model)
    sparse = SparseTraining(
        job.model,
        layer_masks(scores, counts),
        growth=settings["growth"],
        every=settings["every"],
        fraction=settings["fraction"],
        end=settings["end"],
        optimizer=optimizer,
        seed=job.seed,
    )
    with sparse:
        job.fit(
            job.model,
            epochs=job.epochs,
            optimizer=optimizer,
            after_step=sparse,
            learning_rate=settings["learning_rate"] or None,
            stage="sparse",
        )
    note_nonzeros(job, "rigl", sparse.masks)
    return job.model


# Whether a budget can be met is known before anything is trained.
rigl.check_reachable = partial(density_for, method="rigl")  # type: ignore[attr-defined]
