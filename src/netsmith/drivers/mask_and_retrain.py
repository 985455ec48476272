"""The two-pass recipe of structured projections: project once, then retrain what survived."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from netsmith.cards import card
from netsmith.contracts import Projection
from netsmith.drivers.after_step import project_
from netsmith.drivers.selection import Select, assigned
from netsmith.masks import hold, threshold_masks


@card(
    "Mask and retrain (double descent)",
    paper="Barlaud, Guyard 2020",
    venue="ICPR 2020",
    differs="masked entries are set to zero after every step too, as momentum would move them",
)
def mask_and_retrain(
    model: nn.Module,
    projection: Projection | Mapping[str, Projection],
    train: Callable[[nn.Module, hold], object],
    *,
    select: Select = None,
    tolerance: float = 1e-4,
    rewind: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Project a trained model once, then train it again with the zeros held, and without projecting.

    Masks are ``|W| > tolerance`` after the projection; masked entries stay zero through gradient masks and
    through ``train``'s calls after its steps.

    Args:
        model: trained already; changed in place.
        projection: one for all, or a mapping from names or patterns to projections.
        train: does the second training: ``train(model, after_step)``, which must call ``after_step()`` after
            every optimiser step (as :func:`netsmith.train.fit` does with ``after_step=after_step``). Build
            the optimiser inside, so that it has no momentum from the first training.
        select: which parameters, see :data:`netsmith.drivers.Select`; leave a narrow middle layer out.
        tolerance: magnitude at or below which an entry counts as zero, in units of the weights.
        rewind: a ``state_dict`` to start the second training from (the first one's initial weights); the
            projected weights if not given.

    Returns:
        The masks by parameter name, True where an entry stays.

    Raises:
        NetsmithError: nothing was selected, or a projection does not fit a shape.
        TrainingError: a weight is NaN or infinite.
    """
    chosen = {name for name, _, _ in assigned(model, projection, select)}
    project_(model, projection, select=select)
    masks = threshold_masks(model, rule="abs", value=tolerance, select=lambda name, _: name in chosen)
    if rewind is not None:
        model.load_state_dict(rewind)
    with hold(model, masks) as after_step:
        train(model, after_step)
        after_step()
    return masks
