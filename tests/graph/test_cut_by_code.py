"""Slices, splits and look-ups at places the code computes: followed where provable, else left whole."""

import torch
from torch import nn

import netsmith as ns
from netsmith.cutting.verify import masked_output, relative_difference

X = torch.randn(3, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def sizes_after_halving(model):
    """Halve every group, check the result against the masked original, return the sizes of the groups."""
    torch.manual_seed(1)
    model = model().double().eval()
    graph = ns.trace(model, X)
    keep = {g.name: torch.arange(g.size) % 2 == 0 for g in graph.groups}
    small, _ = ns.edits.remove(model, graph, keep)
    with torch.no_grad():
        assert relative_difference(small(X), masked_output(model, X, graph, keep)) <= 1e-10
    return sorted(group.size for group in graph.groups)


class Rotary(nn.Module):
    """Each half of a head turns into the other by an angle; the angles' frequencies are a buffer."""

    def __init__(self):
        super().__init__()
        self.heads, self.width = 2, 8
        self.q, self.k = nn.Linear(6, 16), nn.Linear(6, 16)
        self.head = nn.Linear(5, 2)
        self.register_buffer("frequencies", torch.tensor([1.0, 0.5, 0.2, 0.1]))

    def forward(self, x):
        angles = torch.arange(x.shape[1], dtype=x.dtype)[:, None] * self.frequencies
        angles = torch.cat([angles, angles], dim=-1)
        q, k = (f(x).view(*x.shape[:2], self.heads, self.width).transpose(1, 2) for f in (self.q, self.k))
        q, k = (t * angles.cos() + turned(t) * angles.sin() for t in (q, k))
        return self.head((q @ k.mT).softmax(-1).sum(1))


def turned(x):
    return torch.cat([-x[..., x.shape[-1] // 2 :], x[..., : x.shape[-1] // 2]], dim=-1)


def test_rotary_embedding_loses_pairs_of_a_head_and_heads():
    assert sizes_after_halving(Rotary) == [2, 4]


class FusedUnequal(nn.Module):
    """One layer makes a value as wide as the input, and three gates."""

    def __init__(self):
        super().__init__()
        self.embed, self.gates = nn.Linear(6, 8), 3
        self.both, self.head = nn.Linear(8, 11), nn.Linear(8, 2)

    def forward(self, x):
        x = self.embed(x)
        value, gates = torch.split(self.both(x), (x.shape[-1], self.gates), dim=-1)
        return self.head(x + value * gates.mean(-1, keepdim=True))


def test_pieces_of_a_split_follow_their_own_sizes():
    assert 8 in sizes_after_halving(FusedUnequal)


class FusedSliced(nn.Module):
    """Query and value are cut out of one layer's output at an attribute."""

    def __init__(self, queries=4):
        super().__init__()
        self.queries = queries
        self.both, self.key, self.head = nn.Linear(6, 4 + 10), nn.Linear(6, 4), nn.Linear(10, 2)

    def forward(self, x):
        both = self.both(x)
        q, v = both[..., : self.queries], both[..., self.queries :]
        return self.head((q @ self.key(x).mT).softmax(-1) @ v)


def test_slices_at_an_attribute_are_free():
    assert sizes_after_halving(FusedSliced) == [4, 10]


class FusedFromTheEnd(FusedSliced):
    def forward(self, x):
        both = self.both(x)
        v, q = both[..., : -self.queries], both[..., -self.queries :]
        return self.head((q @ self.key(x).mT).softmax(-1) @ v)


def test_slices_counted_from_the_end_are_free():
    assert sizes_after_halving(FusedFromTheEnd) == [4, 10]


class FusedWritten(FusedSliced):
    def forward(self, x):
        both = self.both(x)
        return self.head((both[..., :4] @ self.key(x).mT).softmax(-1) @ both[..., 4:])


def test_slice_at_a_written_position_leaves_what_lies_behind_free():
    assert sizes_after_halving(FusedWritten) == [10]


class LookedUpBias(nn.Module):
    """A bias per head and pair of places, looked up in a table by a buffer of places."""

    def __init__(self):
        super().__init__()
        self.heads, self.places = 4, 5
        self.q, self.k, self.head = nn.Linear(6, 16), nn.Linear(6, 16), nn.Linear(5, 2)
        self.table = nn.Parameter(torch.randn(9, 4))
        near = torch.arange(5)[:, None] - torch.arange(5) + 4
        self.register_buffer("index", near.reshape(-1))

    def forward(self, x):
        bias = self.table[self.index].view(self.places, self.places, -1).permute(2, 0, 1)
        q, k = (f(x).view(*x.shape[:2], self.heads, -1).transpose(1, 2) for f in (self.q, self.k))
        return self.head((q @ k.mT + bias).softmax(-1).sum(1))


def test_heads_of_a_bias_looked_up_by_a_buffer():
    assert sizes_after_halving(LookedUpBias) == [4, 4]


class FromTheMiddle(nn.Module):
    """Positions are counted from the middle of a table; how far depends on the table's own length."""

    def __init__(self):
        super().__init__()
        self.table, self.first, self.head = nn.Parameter(torch.randn(9, 8)), nn.Linear(6, 8), nn.Linear(8, 2)

    def forward(self, x):
        middle = self.table.shape[0] // 2
        return self.head(self.first(x) + self.table[middle - 2 : middle + x.shape[1] - 2])


def test_table_whose_length_says_where_to_look_stays():
    assert sizes_after_halving(FromTheMiddle) == [8]


class ScaledByAPart(nn.Module):
    """A scale is computed from a quotient of attributes, which also sizes a head."""

    def __init__(self):
        super().__init__()
        self.heads, self.width, self.ratio = 2, 8, 2
        self.q, self.k, self.head = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(5, 2)

    def forward(self, x):
        shape = (*x.shape[:2], self.heads, self.width // self.ratio)
        q, k = (f(x).view(shape).transpose(1, 2) for f in (self.q, self.k))
        scores = q @ k.mT / (self.width // self.ratio) ** 0.5
        return self.head(scores.softmax(-1).sum(1))


def test_width_behind_a_computed_scale_stays():
    assert sizes_after_halving(ScaledByAPart) == [2]


class Padded(nn.Module):
    """Heads are padded with zeros up to a width that is written in the code."""

    def __init__(self):
        super().__init__()
        self.heads, self.width = 2, 4
        self.q, self.k, self.head = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(5, 2)

    def forward(self, x):
        q, k = (f(x).view(*x.shape[:2], self.heads, self.width).transpose(1, 2) for f in (self.q, self.k))
        nothing = torch.zeros(*q.shape[:-1], 16 - self.width, dtype=x.dtype)
        q, k = (torch.cat([t, nothing], dim=-1) for t in (q, k))
        return self.head((q @ k.mT).softmax(-1).sum(1))


def test_width_padded_to_a_written_one_stays():
    assert sizes_after_halving(Padded) == [2]


class Positions(nn.Module):
    """A table of positions and its buffer, longer than the input of this run."""

    def __init__(self):
        super().__init__()
        self.table, self.first, self.head = nn.Parameter(torch.randn(12, 8)), nn.Linear(6, 8), nn.Linear(8, 2)
        self.register_buffer("places", torch.arange(12)[None])

    def forward(self, x):
        places = self.places[:, : x.shape[1]]
        return self.head(self.first(x) + self.table[: x.shape[1]] + places[..., None].to(x.dtype))


def test_positions_that_only_longer_inputs_reach_stay():
    assert sizes_after_halving(Positions) == [8]
    reason = ns.trace(Positions().double(), X).frozen["table", 0]
    assert reason in ("no slice takes it in this run, another run may", "sliced at a fixed position")


class OnlyABuffer(nn.Module):
    """A buffer is added up with itself: it could shrink, but nothing would be gained."""

    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(6, 8), nn.Linear(8, 2)
        self.register_buffer("waves", torch.randn(5))

    def forward(self, x):
        return self.head(self.first(x).relu()) * (self.waves * self.waves.flip(0)).sum()


def test_groups_have_weights():
    graph = ns.trace(OnlyABuffer().double(), X)
    assert [group.size for group in graph.groups] == [8]
    assert graph.frozen["waves", 0] == "no parameter goes with it"
