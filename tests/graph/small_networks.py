"""Small recurrent, attention and graph networks, by name: a constructor and its inputs."""

import torch
import torch.nn.functional as F
import torch_geometric.nn as pyg
from torch import nn


class Recurrent(nn.Module):
    def __init__(self, kind, **options):
        super().__init__()
        self.layer = getattr(nn, kind)(6, 12, **options)
        width = (options.get("proj_size") or 12) * (2 if options.get("bidirectional") else 1)
        self.head = nn.Linear(width, 3)

    def forward(self, x):
        return self.head(self.layer(x)[0])


class Cells(nn.Module):
    """A loop over time written by hand."""

    def __init__(self, kind):
        super().__init__()
        self.cell, self.head, self.width = getattr(nn, kind)(6, 12), nn.Linear(12, 3), 12

    def forward(self, x):
        h, c = x.new_zeros(x.shape[1], self.width), x.new_zeros(x.shape[1], self.width)
        for t in range(x.shape[0]):
            if isinstance(self.cell, nn.LSTMCell):
                h, c = self.cell(x[t], (h, c))
            else:
                h = self.cell(x[t], h)
        return self.head(h)


class Attention(nn.Module):
    """Pre-norm attention and a gated feed-forward; ``kind`` says how queries, keys and values come about."""

    def __init__(self, kind, width=16, heads=4):
        super().__init__()
        self.kind, self.heads, self.head_width = kind, heads, width // heads
        self.kv_heads = heads // 2 if kind == "grouped" else heads
        self.embed = nn.Linear(6, width)
        self.norm = nn.LayerNorm(width)
        if kind == "fused":
            self.qkv = nn.Linear(width, 3 * width)
        else:
            self.q = nn.Linear(width, width)
            self.k = nn.Linear(width, self.kv_heads * self.head_width, bias=False)
            self.v = nn.Linear(width, self.kv_heads * self.head_width)
        self.out = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 40), nn.Linear(20, width)
        self.head = nn.Linear(width, 3)

    def attend(self, x):
        b, t, c = x.shape
        if self.kind == "fused":
            q, k, v = self.qkv(x).reshape(b, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
            return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, c)
        q = self.q(x).view(b, t, -1, self.head_width).transpose(1, 2)
        k = self.k(x).view(b, t, -1, self.head_width).transpose(1, 2)
        v = self.v(x).view(b, t, -1, self.head_width).transpose(1, 2)
        if self.kind == "grouped":
            repeats = q.shape[1] // k.shape[1]
            k, v = (
                y[:, :, None].expand(-1, -1, repeats, -1, -1).reshape(b, q.shape[1], t, self.head_width)
                for y in (k, v)
            )
        weights = (q @ k.transpose(-1, -2) * 0.5).softmax(-1)
        return (weights @ v).transpose(1, 2).reshape(b, t, -1)

    def forward(self, x):
        x = self.embed(x)
        x = x + self.out(self.attend(self.norm(x)))
        value, gate = self.up(x).chunk(2, dim=-1)
        return self.head(x + self.down(value * F.silu(gate)))


class TiedLanguageModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 12)
        self.mix = nn.Linear(12, 12)
        self.head = nn.Linear(12, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids):
        return self.head(torch.tanh(self.mix(self.embed(ids))))


class GraphNetwork(nn.Module):
    def __init__(self, first, second, width=8):
        super().__init__()
        self.first, self.norm, self.second = first, nn.BatchNorm1d(12), second
        self.head = nn.Linear(width, 3)

    def forward(self, x, edges, batch):
        x = self.norm(self.first(x, edges)).relu()
        return self.head(pyg.global_mean_pool(self.second(x, edges), batch))


def perceptron(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, 10), nn.ReLU(), nn.Linear(10, outputs))


def graph_inputs():
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(0, 20, (2, 60), generator=generator)
    return torch.randn(20, 6, generator=generator, dtype=torch.float64), edges, torch.arange(20) // 5


SEQUENCE = torch.randn(5, 2, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TOKENS = torch.randint(0, 11, (2, 5), generator=torch.Generator().manual_seed(0))

NETWORKS = {
    "rnn": (lambda: Recurrent("RNN"), SEQUENCE),
    "lstm": (lambda: Recurrent("LSTM"), SEQUENCE),
    "lstm-deep-both-ways": (lambda: Recurrent("LSTM", num_layers=2, bidirectional=True), SEQUENCE),
    "gru": (lambda: Recurrent("GRU", batch_first=True, num_layers=2), SEQUENCE),
    "lstm-cell": (lambda: Cells("LSTMCell"), SEQUENCE),
    "gru-cell": (lambda: Cells("GRUCell"), SEQUENCE),
    "attention": (lambda: Attention("plain"), SEQUENCE),
    "attention-fused": (lambda: Attention("fused"), SEQUENCE),
    "attention-grouped": (lambda: Attention("grouped"), SEQUENCE),
    "encoder": (lambda: nn.TransformerEncoderLayer(6, 2, 16, batch_first=True), SEQUENCE),
    "tied-language-model": (TiedLanguageModel, TOKENS),
    "gcn": (lambda: GraphNetwork(pyg.GCNConv(6, 12), pyg.GCNConv(12, 8)), graph_inputs()),
    "sage": (lambda: GraphNetwork(pyg.SAGEConv(6, 12), pyg.SAGEConv(12, 8)), graph_inputs()),
    "gat": (lambda: GraphNetwork(pyg.GATConv(6, 4, heads=3), pyg.GATConv(12, 8)), graph_inputs()),
    "gatv2": (lambda: GraphNetwork(pyg.GATv2Conv(6, 4, heads=3), pyg.GATv2Conv(12, 8)), graph_inputs()),
    "gin": (
        lambda: GraphNetwork(pyg.GINConv(perceptron(6, 12)), pyg.GINConv(perceptron(12, 8))),
        graph_inputs(),
    ),
    "edge": (
        lambda: GraphNetwork(pyg.EdgeConv(perceptron(12, 12)), pyg.EdgeConv(perceptron(24, 8))),
        graph_inputs(),
    ),
}
