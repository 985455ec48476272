"""Small mixtures of experts, by name: a constructor and its inputs."""

import torch
import torch.nn.functional as F
from torch import nn


class Experts(nn.Module):
    """Stacked weights ``[experts, in, hidden]``, mixed by a softmax over the router's logits."""

    def __init__(self, mix, experts=6, width=5, hidden=7):
        super().__init__()
        self.mix, self.experts = mix, experts
        self.stem, self.router = nn.Linear(4, width), nn.Linear(width, experts)
        self.up = nn.Parameter(torch.randn(experts, width, hidden) * 0.5)
        self.down = nn.Parameter(torch.randn(experts, hidden, width) * 0.5)
        self.bias = nn.Parameter(torch.randn(experts, 1, width))
        self.head = nn.Linear(width, 3)

    def forward(self, x):
        x = self.stem(x)
        return self.head(x + self.mix(self, x))


def einsum(self, x):
    gates = self.router(x).softmax(-1)
    hidden = F.gelu(torch.einsum("btd,edh->ebth", x, self.up))
    outputs = torch.einsum("ebth,ehd->ebtd", hidden, self.down)
    return torch.einsum("bte,ebtd->btd", gates, outputs)


def batched(self, x):
    """Batched products, and a sum over the experts."""
    tokens = x.flatten(0, 1)
    gates = F.softmax(self.router(tokens), dim=1)
    many = tokens.unsqueeze(0).expand(self.experts, -1, -1)
    outputs = torch.baddbmm(self.bias, torch.tanh(torch.bmm(many, self.up)), self.down)
    return (gates.t().unsqueeze(-1) * outputs).sum(0).view(x.shape)


def logarithms(self, x):
    gates = F.log_softmax(self.router(x), dim=-1)
    outputs = torch.einsum("btd,edh->ebth", x, self.up) @ self.down.unsqueeze(1)
    return torch.logsumexp(gates.permute(2, 0, 1).unsqueeze(-1) + outputs, 0)


def renormalised(self, x):
    gates = torch.sigmoid(self.router(x))
    gates = gates / gates.sum(-1, keepdim=True)
    return torch.einsum("bte,btd,edh,ehk->btk", gates, x, self.up, self.down)


def scattered(self, x, k=2):
    """The largest logits are scattered among the others, which are out of reach."""
    logits = self.router(x)
    values, chosen = logits.topk(k, dim=-1)
    gates = torch.full_like(logits, -torch.inf).scatter(-1, chosen, values).softmax(-1)
    outputs = torch.einsum("btd,edh->ebth", x, self.up).relu() @ self.down.unsqueeze(1)
    return torch.einsum("bte,ebtd->btd", gates, outputs)


def gathered(self, x, k=3):
    """The weights of the chosen experts are looked up."""
    gates = self.router(x).softmax(-1)
    values, chosen = torch.topk(gates, k)
    values = values / values.sum(-1, keepdim=True)
    hidden = torch.einsum("btd,btkdh->btkh", x, self.up[chosen]).tanh()
    outputs = torch.einsum("btkh,btkhd->btkd", hidden, self.down[chosen]) + self.bias[chosen].squeeze(-2)
    return (values.unsqueeze(-1) * outputs).sum(-2)


def encoded(self, x, k=2):
    """The choice is turned into masks by a one-hot encoding, the gates gathered."""
    gates = self.router(x).softmax(-1)
    chosen = gates.topk(k).indices
    masks = F.one_hot(chosen, self.experts).to(x.dtype)
    gates = (masks * gates.gather(-1, chosen).unsqueeze(-1)).sum(2)
    outputs = torch.einsum("btd,edh->ebth", x, self.up).relu() @ self.down.unsqueeze(1)
    return torch.einsum("bte,ebtd->btd", gates, outputs)


def looped(self, x, k=2):
    """Which tokens an expert has is asked expert by expert: the numbers of experts are known to the code."""
    values, chosen = self.router(x).softmax(-1).topk(k)
    result = torch.zeros_like(x)
    for expert in range(self.experts):
        gate = (values * (chosen == expert)).sum(-1, keepdim=True)
        result = result + gate * torch.tanh(x @ self.up[expert]) @ self.down[expert]
    return result


def counted(self, x, k=2):
    """What the choice is used for depends on its numbers."""
    chosen = self.router(x).topk(k).indices
    return x * (1 + chosen).sum(-1, keepdim=True)


def listed(self, x):
    chosen = self.router(x).mean((0, 1)).topk(1).indices.tolist()[0]
    return x @ self.up[chosen] @ self.down[chosen]


def written(self, x):
    gates = F.one_hot(self.router(x).topk(2).indices, 6).sum(2).to(x.dtype)
    return torch.einsum("bte,btd,edh,ehk->btk", gates, x, self.up, self.down)


class Listed(nn.Module):
    """Experts in a list, each with its column of the gates."""

    def __init__(self):
        super().__init__()
        self.router, self.head = nn.Linear(4, 3), nn.Linear(4, 2)
        self.parts = nn.ModuleList(
            nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 4)) for _ in range(3)
        )

    def forward(self, x):
        gates = self.router(x).softmax(-1)
        return self.head(sum(gates[..., i : i + 1] * part(x) for i, part in enumerate(self.parts)))


X = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
DENSE = {mix.__name__: lambda mix=mix: Experts(mix) for mix in (einsum, batched, logarithms, renormalised)}
SPARSE = {mix.__name__: lambda mix=mix: Experts(mix) for mix in (scattered, gathered, encoded)}
FIXED = {mix.__name__: lambda mix=mix: Experts(mix) for mix in (looped, counted, listed, written)}
