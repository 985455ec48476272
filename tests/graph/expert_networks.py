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


X = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
DENSE = {mix.__name__: lambda mix=mix: Experts(mix) for mix in (einsum, batched, logarithms, renormalised)}
