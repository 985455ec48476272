"""Majority voting: how many examples vote for a channel, by comparing activations inside its layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from netsmith.cards import card
from netsmith.contracts import Loss
from netsmith.errors import NetsmithError, UnknownNameError
from netsmith.graph import Slice, StructureGraph
from netsmith.scores.elements import forward, weights_of
from netsmith.scores.votes import RULES, Rule, standardised, tally, votes_of
from netsmith.scores.watching import Watch


@dataclass(eq=False)
class Ballot:
    """The votes for the channels of one group.

    ``votes`` is ``[classes, size]``, ``examples`` ``[classes]``; one class where none were told. A layer that
    several others read votes once for each of them.
    """

    votes: Tensor
    examples: Tensor

    @property
    def total(self) -> Tensor:
        """Votes of all classes, ``[size]``."""
        return self.votes.sum(0)


@card(
    title="Majority voting: how many examples vote for a channel",
    paper="A. Alqahtani, X. Xie, E. Essa, M. W. Jones, 2020",
    venue="ICPR 2020",
    differs=(
        "the abstract only says that activations of neurons are compared and a voting score assigned: four "
        "rules are reconstructed, perhaps none of them the authors', and the rule decides: only winner beat "
        "chance; activations are taken where they are read, as the mean of their absolute values over "
        "positions; scores are relative to the mean of the group, so that layers compare"
    ),
)
class MajorityVoting:
    """Score each channel by the votes of examples that compare the activations of its layer.

    Activations are what linear layers and convolutions read of the channels, after activation and norm, the
    mean of ``|h|`` over positions. ``score(c)`` is the votes per example relative to the mean of the group;
    ones for a group that no such layer reads, or that got no vote. One forward pass of the loss, which may
    run the model on any number of batches: votes add up over them. d counters per layer; ``"copeland"`` takes
    d² of them, and d² comparisons per example.

    Often active is not important: a channel that is always on is a bias to its readers, and every rule but
    ``"winner"`` likes it. Cut at once from an MLP these rules lost 6 to 53 points more than chance; winners
    of standardised activations lost less than chance, but keep weak noise alive. Pruned while training, a CNN
    was 3.9 ± 0.8 points better by winners than by chance, as good as by Taylor, and by the other rules no
    better beyond doubt; on an MLP no score made a difference (``evidence/majority_voting_*.py``).

    Args:
        rule: ``"winner"``, ``"topk"``, ``"mean"`` or ``"copeland"``; see :func:`netsmith.scores.votes.tally`.
        share: of the channels that ``"topk"`` votes for.
        targets: class ids ``[examples]`` in the order of the forward passes. Classes then count alike
            whatever their size, and the channel with most votes of a class scores above all without.
        standardise: compare activations minus their mean over those of the batch, per channel and in units
            of its deviation, so that the scale of weights does not decide.

    Raises:
        UnknownNameError: no such rule.
        NetsmithError: ``share`` is not in (0, 1]; or, when called, no loss, a loss that does not run the
            model, or another number of examples than targets.

    Example:
        >>> import netsmith as ns
        >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
        >>> with torch.no_grad():
        ...     _ = net[0].bias.copy_(torch.tensor([9.0, -9.0, 1.0]))
        >>> x = torch.zeros(4, 2)
        >>> MajorityVoting(rule="copeland")(net, lambda m: m(x).sum(), ns.trace(net, x))["0.weight:0"]
        tensor([2., 0., 1.], dtype=torch.float64)
    """

    def __init__(
        self,
        *,
        rule: Rule = "winner",
        share: float = 0.1,
        targets: Tensor | None = None,
        standardise: bool = False,
    ) -> None:
        if rule not in RULES:
            raise UnknownNameError("rule for votes", rule, RULES)
        if not 0 < share <= 1:
            raise NetsmithError(f"share={share} of the channels to vote for; expected above 0 up to 1")
        self.rule: Rule = rule
        self.share = share
        self.targets = targets
        self.standardise = standardise

    def __call__(self, model: nn.Module, loss: Loss | None, graph: StructureGraph) -> dict[str, Tensor]:
        """Return a tensor of shape ``[size]`` per group."""
        ballots = self.ballots(model, loss, graph)
        scores = {}
        for group in graph.groups:
            ballot = ballots.get(group.name)
            scores[group.name] = (
                torch.ones(group.size, dtype=torch.float64) if ballot is None else self._score(ballot)
            )
        return scores

    def ballots(self, model: nn.Module, loss: Loss | None, graph: StructureGraph) -> dict[str, Ballot]:
        """Return the votes of every group that a linear layer or convolution reads."""
        with _Count(self, weights_of(model), graph) as count:
            forward(model, loss, "MajorityVoting")
        if count.places and not count.tallies:
            raise NetsmithError("no example voted, because the loss did not run the model; let it do so")
        if self.targets is not None and any(at != len(self.targets) for at in count.at.values()):
            seen = next(at for at in count.at.values() if at != len(self.targets))
            raise NetsmithError(
                f"targets has {len(self.targets)} class ids and the model was run on {seen} examples; "
                "expected one for each"
            )
        return {name: self._ballot(classes) for name, classes in count.tallies.items()}

    def _ballot(self, classes: dict[int, tuple[Tensor, int]]) -> Ballot:
        known = [classes[one] for one in sorted(classes)]
        votes = torch.stack([votes_of(tallied, self.rule) for tallied, _ in known])
        return Ballot(votes, torch.tensor([examples for _, examples in known], dtype=torch.float64))

    def _score(self, ballot: Ballot) -> Tensor:
        # Copeland votes are of opponents, not of examples.
        rates = ballot.votes if self.rule == "copeland" else ballot.votes / ballot.examples[:, None]
        score = rates.mean(0)
        if not bool(score.any()):
            return torch.ones_like(score)
        score = score / score.mean()
        if self.targets is not None:
            first = torch.unique(rates.argmax(1)[rates.any(1)])
            score[first] += score.max()
        return score


class _Count(Watch):
    """Counts the votes for the channels of every group, wherever a weight reads them."""

    def __init__(self, score: MajorityVoting, weights: Mapping[str, Tensor], graph: StructureGraph) -> None:
        self.score = score
        self.places: dict[str, list[tuple[str, Slice]]] = {}
        for group in graph.groups:
            for one in group.slices:
                if one.role == "in" and one.dim == 1 and one.tensor in weights:
                    self.places.setdefault(one.tensor, []).append((group.name, one))
        self.tallies: dict[str, dict[int, tuple[Tensor, int]]] = {}
        self.at: dict[str, int] = {}
        super().__init__({name: weights[name] for name in self.places})

    def seen(self, name: str, given: Mapping[str, Any], linear: bool) -> None:
        """Let the examples of a batch vote, each within its class."""
        read = _activations(given, linear)
        classes = self._classes(name, len(read))
        for group, one in self.places[name]:
            values = read[:, one.index.to(read.device)].mean(-1)
            values = standardised(values) if self.score.standardise else values
            tallies = self.tallies.setdefault(group, {})
            for label in torch.unique(classes).tolist():
                rows = values[(classes == label).to(values.device)]
                before, examples = tallies.get(label, (0, 0))
                cast = tally(rows, self.score.rule, self.score.share).cpu()
                tallies[label] = (before + cast, examples + len(rows))

    def _classes(self, name: str, count: int) -> Tensor:
        targets = self.score.targets
        if targets is None:
            return torch.zeros(count, dtype=torch.int64)
        at = self.at.get(name, 0)
        at = 0 if at == len(targets) else at
        self.at[name] = at + count
        found = targets[at : at + count].cpu()
        return torch.cat([found, found.new_zeros(count - len(found))])


def _activations(given: Mapping[str, Any], linear: bool) -> Tensor:
    """Return what each example shows a weight, ``[examples, inputs of the weight]``."""
    read: Tensor = given["input"].detach().abs()
    weight: Tensor = given["weight"]
    if linear:
        read = read if read.dim() > 1 else read[None]
        return read.flatten(1, -2).mean(1) if read.dim() > 2 else read
    read = read if read.dim() == weight.dim() else read[None]
    # The groups of a convolution read alike of channels that go together.
    return read.flatten(2).mean(-1).reshape(len(read), -1, weight.shape[1]).mean(1)
