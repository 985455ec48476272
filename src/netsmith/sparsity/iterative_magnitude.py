"""Iterative magnitude pruning: the smallest weights go, the rest is trained again, and so on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from netsmith.cards import card
from netsmith.errors import NetsmithError, UnknownNameError
from netsmith.masks import hold
from netsmith.penalties.selection import Select, weights
from netsmith.sparsity import tickets
from netsmith.sparsity.ranking import global_masks, layer_masks
from netsmith.sparsity.rewinding import LearningRateRewinding, Rewind, Round, require_rounds
from netsmith.sparsity.survivors import survivors
from netsmith.sparsity.tickets import Ticket
from netsmith.training.schedules import Schedule, cosine
from netsmith.wrappers import unwrapped

SCOPES = ("global", "layer")


@card(
    title="Accelerated iterative magnitude pruning with learning-rate rewinding",
    paper="M. Zullich, E. Medvet, F. A. Pellegrino, A. Ansuini, 2021, doi:10.1109/ICPR48806.2021.9412705",
    venue="ICPR 2020",
    differs=(
        "a short round goes through the whole schedule, compressed (unverified: the abstract does not say); "
        "of equal magnitudes at the cutoff only as many go as the rate says (the first author's library: "
        "all); every weight of two or more dimensions counts, the last layer's too"
    ),
)
class IterativeMagnitude:
    r"""Prune the smallest surviving weights, train, and repeat; all rounds but the last may be short.

    Of m survivors :math:`m - \lfloor r m \rfloor` are left after an iteration (:func:`survivors`), ranked all
    together or within each layer; of equal magnitudes the first stay. What happens to values and learning
    rate before each round is said by :class:`Rewind`. Zeros in dense tensors save no time,
    and with two or three iterations there is little to shorten.

    Args:
        model: trained already; changed in place by :meth:`run`.
        rate: share of the survivors that an iteration removes, in (0, 1).
        iterations: how many; or
        density: survivors over selected weights in the end; see :func:`survivors`.
        scope: ``"global"``, or ``"layer"``: rate and density hold in each layer.
        select: which parameters are pruned; density counts these.
        allow_empty: go on where a layer loses all its weights.

    Raises:
        NetsmithError: an argument out of range, a density out of reach, or nothing selected.
        UnknownNameError: ``scope`` is neither name.

    Example:
        >>> pruning = IterativeMagnitude(nn.Linear(10, 10), iterations=2)
        >>> history = pruning.run(lambda model, round: None, epochs=3, short_epochs=1)
        >>> [(entry["epochs"], entry["survivors"]) for entry in history]
        [(1, 80), (3, 64)]
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        rate: float = 0.2,
        iterations: int | None = None,
        density: float | None = None,
        scope: str = "global",
        select: Select = weights,
        allow_empty: bool = False,
    ) -> None:
        if scope not in SCOPES:
            raise UnknownNameError("scope", scope, SCOPES)
        self.model, self.scope, self.allow_empty = unwrapped(model), scope, allow_empty
        self.masks = {
            name: torch.ones_like(parameter, dtype=torch.bool, requires_grad=False)
            for name, parameter in self.model.named_parameters()
            if select(name, parameter)
        }
        if not self.masks:
            raise NetsmithError(f"no parameter of {type(model).__name__} was selected; pass another select")
        sizes = {name: mask.numel() for name, mask in self.masks.items()}
        parts = {"all": sum(sizes.values())} if scope == "global" else sizes
        counts = {
            name: survivors(size, rate=rate, iterations=iterations, density=density)
            for name, size in parts.items()
        }
        self.iterations = max(map(len, counts.values()))
        # A small layer may be where it is to end an iteration before the others.
        self.counts = {
            name: some + some[-1:] * (self.iterations - len(some)) for name, some in counts.items()
        }
        self.history: list[dict[str, Any]] = []

    def run(
        self,
        train: Callable[[nn.Module, Round], object],
        *,
        epochs: int,
        short_epochs: int | None = None,
        schedule: Schedule = cosine,
        rewind: Rewind | None = None,
        evaluate: Callable[[nn.Module], float] | None = None,
        folder: str | Path | None = None,
        resume: bool | int = False,
    ) -> list[dict[str, Any]]:
        """Go through all iterations; return what happened in each, as plain data.

        Args:
            train: trains the model in place for ``round.epochs``. Build the optimiser inside, so that it has
                no momentum from before; multiply its learning rates by ``round.schedule``; call
                ``round.after_step()`` after every step.
            epochs: of the last round; those of the original training.
            short_epochs: of the other rounds, 1 to ``epochs``, into which the whole schedule is compressed;
                ``epochs`` if not given.
            schedule: ``progress -> learning-rate factor`` of the original training.
            rewind: :class:`LearningRateRewinding` if not given.
            evaluate: ``model -> number``, after each round, for the history.
            folder: where each iteration leaves its :class:`Ticket`.
            resume: go on after the last ticket in the folder, or after that of an iteration.

        Raises:
            NetsmithError: epochs or a schedule that make no sense, a layer that loses all its weights, or
                weights that are not numbers.
            FileError: tickets are in the way, or one is missing, incomplete or of another run.
        """
        short_epochs = epochs if short_epochs is None else short_epochs
        rewind = rewind or LearningRateRewinding()
        require_rounds(epochs, short_epochs, schedule)
        settings: dict[str, Any] = {"counts": self.counts, "epochs": epochs, "short_epochs": short_epochs}
        settings["rewind"] = type(rewind).__name__
        kept = None if folder is None else Path(folder)
        self._take_up(tickets.to_resume(kept, resume, settings))
        for iteration in range(len(self.history) + 1, self.iterations + 1):
            began = time.perf_counter()
            self._prune(iteration)
            rewind.restore(self.model)
            length, factor = rewind.plan(epochs if iteration == self.iterations else short_epochs, schedule)
            with hold(self.model, self.masks) as after_step:
                after = Round(iteration=iteration, epochs=length, schedule=factor, after_step=after_step)
                train(self.model, after)
                after_step()
            metric = None if evaluate is None else float(evaluate(self.model))
            self.history.append(self._entry(iteration, length, metric, time.perf_counter() - began))
            if kept is not None:
                state = dict(self.model.state_dict())
                tickets.write(kept, Ticket(iteration, state, self.masks, self.history, settings))
        return self.history

    def _take_up(self, ticket: Ticket | None) -> None:
        """Go on from a ticket, or begin."""
        self.history = []
        self.masks = {name: torch.ones_like(mask) for name, mask in self.masks.items()}
        if ticket is not None:
            self.model.load_state_dict(ticket.state)
            self.history = list(ticket.history)
            self.masks = {name: ticket.masks[name].to(mask.device) for name, mask in self.masks.items()}

    def _prune(self, iteration: int) -> None:
        scores = {
            # Below all magnitudes: a survivor that happens to be zero goes first, but goes once.
            name: self.model.get_parameter(name).detach().abs().masked_fill(~mask, -torch.inf)
            for name, mask in self.masks.items()
        }
        counts = {name: several[iteration - 1] for name, several in self.counts.items()}
        if self.scope == "global":
            masks = global_masks(scores, counts["all"] / sum(score.numel() for score in scores.values()))
        else:
            masks = layer_masks(scores, counts)
        empty = [name for name, mask in masks.items() if not mask.any()]
        if empty and not self.allow_empty:
            raise NetsmithError(
                f"iteration {iteration} would take all weights of {', '.join(empty)}; take fewer iterations "
                "or scope='layer', or pass allow_empty=True"
            )
        self.masks = masks

    def _entry(self, iteration: int, epochs: int, metric: float | None, seconds: float) -> dict[str, Any]:
        left = sum(int(mask.sum()) for mask in self.masks.values())
        return {
            "iteration": iteration,
            "epochs": epochs,
            "survivors": left,
            "density": left / sum(mask.numel() for mask in self.masks.values()),
            "empty": [name for name, mask in self.masks.items() if not mask.any()],
            "metric": metric,
            "seconds": seconds,
        }
