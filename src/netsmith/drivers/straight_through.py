"""The projection inside the forward pass, with gradients that go straight through."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn.utils import parametrize

from netsmith.contracts import Projection
from netsmith.drivers.selection import Select, assigned
from netsmith.errors import NetsmithError


class StraightThrough(nn.Module):
    """A parametrization ``W -> P(W)`` with the gradient of the identity (Bengio et al., arXiv:1308.3432).

    The optimiser keeps an unconstrained weight, so that entries that are zero now can come back. Register it
    with :func:`torch.nn.utils.parametrize.register_parametrization`, or many at once with
    :func:`straight_through_`; ``parametrize.remove_parametrizations(module, "weight")`` makes the projected
    weight permanent.

    Args:
        projection: what the forward pass applies.
    """

    def __init__(self, projection: Projection) -> None:
        super().__init__()
        self.projection = projection

    def forward(self, weight: Tensor) -> Tensor:
        """Return the projected weight, exactly; its gradient arrives at ``weight`` unchanged."""
        return self.projection(weight.detach()) + (weight - weight.detach())

    def right_inverse(self, value: Tensor) -> Tensor:
        """Return the unconstrained weight to keep when ``value`` is assigned."""
        return value

    def extra_repr(self) -> str:
        """Name the projection."""
        return str(self.projection)


def straight_through_(
    model: nn.Module, projection: Projection | Mapping[str, Projection], *, select: Select = None
) -> nn.Module:
    """Register :class:`StraightThrough` on the selected weights of a model, in place.

    The unconstrained weights are the parameters from then on (``parametrizations.weight.original``), still
    the same objects, so an optimiser made before keeps working.

    Args:
        model: changed in place.
        projection: one for all, or a mapping from names or patterns to projections.
        select: which parameters, see :data:`netsmith.drivers.Select`.

    Returns:
        The model.

    Raises:
        NetsmithError: a selected parameter is shared by several modules, or nothing was selected.
    """
    places: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        places.setdefault(id(parameter), []).append(name)
    constrained = assigned(model, projection, select)
    for name, parameter, _ in constrained:
        if len(places[id(parameter)]) > 1:
            shared = " and ".join(places[id(parameter)])
            raise NetsmithError(
                f"{name} is shared ({shared}), expected a weight of one module "
                "(a parametrization would part them); use AfterStep for it"
            )
    for name, _, one in constrained:
        path, _, attribute = name.rpartition(".")
        parametrize.register_parametrization(model.get_submodule(path), attribute, StraightThrough(one))
    return model
