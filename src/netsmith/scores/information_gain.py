"""Information gain: how much the network's output distribution changes when a channel goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from netsmith.calling import call_arguments
from netsmith.cards import card
from netsmith.contracts import Inputs, Loss
from netsmith.errors import NetsmithError
from netsmith.graph import StructureGraph
from netsmith.modes import evaluating
from netsmith.scores.masked_reads import masked_reads, one_less
from netsmith.scores.reader_gates import (
    Gradient,
    SamplesNotFirstError,
    gated_modules,
    gated_weights,
    module_gates,
    readers,
)
from netsmith.scores.samples import count, rows


@card(
    title="HFP: information gain of a channel on the network's output distribution",
    paper="F. Yu, C. Han, P. Wang, R. Huang, X. Huang, L. Cui, 2020",
    venue="ICPR 2020",
    differs=(
        "the formula is a reconstruction, the abstract only says contribution to the output distribution: "
        "expected Kullback-Leibler divergence without the channel, exact or as half its Fisher information"
    ),
)
class InformationGain:
    r"""Score each channel by how much the output distribution changes without it.

    ``"exact"`` removes one channel at a time (zero where it is read), one forward per channel:

    .. math:: IG(f) = E_x\, KL\big(p(y \mid x) \,\|\, p(y \mid x, f\ removed)\big)

    ``"fisher"`` is its second-order expansion in a gate m = 1 on the channel where it is read, one backward
    per class for all channels together:

    .. math:: IG(f) \approx \tfrac12 E_x \sum_c p(c \mid x) \Big(\frac{d \log p(c \mid x)}{d m_f}\Big)^2

    Calling it returns one non-negative tensor ``[size]`` per group, in nats per sample; a channel that no
    weight reads scores 0. Gains do not add up: two channels that say the same both score near 0, so score
    again after each cut. What a norm across channels would do differently without the channel is not seen.

    Args:
        inputs: a few hundred samples, the first dimension being the sample: a tensor, or a tuple or dict of
            them. On samples the network has memorised all gains are tiny: hold them out, or raise the
            temperature.
        method: ``"fisher"`` or ``"exact"``.
        temperature: logits are divided by it before the softmax.
        draws: for ``"fisher"``: classes drawn per sample from p in place of the sum over all classes
            (unbiased; for many classes, and for outputs with more dimensions than ``[samples, classes]``).
        seed: where draws start.
        batch_size: samples per forward.

    Raises:
        NetsmithError: no samples, an unknown method, a temperature or number of draws that is not positive,
            or an output of another shape.
    """

    def __init__(
        self,
        inputs: Inputs,
        *,
        method: Literal["fisher", "exact"] = "fisher",
        temperature: float = 1.0,
        draws: int | None = None,
        seed: int = 0,
        batch_size: int = 256,
    ) -> None:
        if method not in ("fisher", "exact"):
            raise NetsmithError(
                f"unknown method {method!r} of information gain; expected 'fisher' or 'exact'"
            )
        if not temperature > 0:
            raise NetsmithError(
                f"temperature is {temperature}; expected above 0 (1 leaves logits as they are)"
            )
        if draws is not None and draws < 1:
            raise NetsmithError(f"draws is {draws}; expected at least 1, or None for all classes")
        if not count(inputs):
            raise NetsmithError("information gain needs samples and got none; give a few hundred inputs")
        self.inputs = inputs
        self.method = method
        self.temperature = temperature
        self.draws = draws
        self.seed = seed
        self.batch_size = batch_size

    def __call__(self, model: nn.Module, loss: Loss | None, graph: StructureGraph) -> dict[str, Tensor]:
        """Return the gain of every channel; the loss is not asked."""
        size = count(self.inputs)
        batches = [rows(self.inputs, at, at + self.batch_size) for at in range(0, size, self.batch_size)]
        with evaluating(model):
            if self.method == "exact":
                total = self._exact(model, graph, batches)
            else:
                total = self._fisher(model, graph, batches)
        return {name: (gain / size).clamp(min=0).float() for name, gain in total.items()}

    @torch.no_grad()
    def _exact(self, model: nn.Module, graph: StructureGraph, batches: list[Inputs]) -> dict[str, Tensor]:
        references = [self._log_p(model, {}, batch) for batch in batches]
        total = _zeros(model, graph)
        for group in graph.groups:
            for channel in range(group.size) if readers(group) else ():
                masked = masked_reads(model, group, one_less(group, channel))
                for batch, reference in zip(batches, references, strict=True):
                    log_p = self._log_p(model, masked, batch)
                    total[group.name][channel] += F.kl_div(log_p, reference, reduction="sum", log_target=True)
        return total

    def _fisher(self, model: nn.Module, graph: StructureGraph, batches: list[Inputs]) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(self.seed)
        total = _zeros(model, graph)
        with torch.inference_mode(False), torch.enable_grad():
            for batch in batches:
                for log_p, gradient in self._gated(model, graph, batch):
                    for weight, scalar in self._directions(log_p, generator):
                        for name, slope in gradient(scalar).items():
                            total[name] += 0.5 * (weight @ slope.double().square())
        return total

    def _gated(
        self, model: nn.Module, graph: StructureGraph, batch: Inputs
    ) -> Iterator[tuple[Tensor, Gradient]]:
        """Yield log-probabilities and how to differentiate them: of the whole batch, or sample by sample."""
        sites = module_gates(model, graph, count(batch))
        if sites is not None:
            try:
                with gated_modules(sites) as gradient:
                    log_p = self._log_p(model, {}, batch)
                yield log_p, gradient
                return
            except SamplesNotFirstError:
                pass
        for row in range(count(batch)):
            tensors, gradient = gated_weights(model, graph)
            yield self._log_p(model, tensors, rows(batch, row, row + 1)), gradient

    def _directions(self, log_p: Tensor, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (weight per sample, scalar to differentiate) whose weighted squares make the expectation."""
        if self.draws is None:
            if log_p.dim() != 2:
                raise NetsmithError(
                    f"the output has shape {tuple(log_p.shape)}, expected [samples, classes]; give draws=1"
                )
            for one in range(log_p.shape[1]):
                yield log_p[:, one].detach().double().exp(), log_p[:, one].sum()
            return
        p = log_p.detach().exp().flatten(0, -2).cpu()
        for _ in range(self.draws):
            drawn = torch.multinomial(p, 1, generator=generator).view(*log_p.shape[:-1], 1).to(log_p.device)
            weight = torch.full((len(log_p),), 1 / self.draws, dtype=torch.float64, device=log_p.device)
            yield weight, log_p.gather(-1, drawn).sum()

    def _log_p(self, model: nn.Module, tensors: dict[str, Tensor], inputs: Inputs) -> Tensor:
        output = functional_call(model, tensors, *call_arguments(inputs))
        if not isinstance(output, Tensor) or output.dim() < 2:
            raise NetsmithError(
                "information gain needs a model whose output is logits [samples, ..., classes]"
            )
        return F.log_softmax(output / self.temperature, dim=-1)


def _zeros(model: nn.Module, graph: StructureGraph) -> dict[str, Tensor]:
    device = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
    return {group.name: torch.zeros(group.size, dtype=torch.float64, device=device) for group in graph.groups}
