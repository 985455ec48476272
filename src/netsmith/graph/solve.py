"""From the constraints of a trace to channels: which elements are one, which are products, which must stay.

Every step taken here is sound: uniting two elements or freezing one only ever forbids a cut that might have
been possible, it never allows one that is not. Where two ways of factoring a dimension cannot both be kept,
the coarser factor (the one with the fewest values) is frozen.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import count

import numpy as np

from netsmith.graph.axes import NOBODY, Constraints, Dim, Elements

ROUNDS = 64
Frozen = list[tuple[Elements, str | Elements]]
"""What must stay, and why: in words, or for the reason that other elements stay."""
TIED = "tied to an index that stays"


class Products:
    """Which elements are the product of which factors: a row of factors per element."""

    def __init__(self, count: int) -> None:
        self.defined = np.zeros(count + 1, dtype=bool)
        self.factors = np.full((count + 1, 1), NOBODY, dtype=np.int64)

    def define(self, elements: Elements, factors: Elements) -> tuple[Elements, Elements] | None:
        """Define elements as products of ``factors`` rows; return pairs of rows that contradict each other.

        Rows that contradict one another already are not compared with what was defined before: where many
        equalities share an element, each is then settled by itself.
        """
        factors = tidy(factors)
        if factors.shape[1] > self.factors.shape[1]:
            self.factors = _widen(self.factors, factors.shape[1])
        factors = _widen(factors, self.factors.shape[1])
        if bool((elements[1:] > elements[:-1]).all()):  # as a dimension's own elements are
            unique, ones, known = elements, factors, factors
        else:
            unique, first, inverse = np.unique(elements, return_index=True, return_inverse=True)
            ones, known = factors[first], factors[first[inverse]]
        if known is factors or not (known != factors).any():
            new = ~self.defined[unique]
            self.factors[unique[new]] = ones[new]
            self.defined[unique[new]] = True
            known = self.factors[elements]
        wrong = (known != factors).any(axis=1)
        return (known[wrong], factors[wrong]) if wrong.any() else None


class Solution:
    """The solved constraints: maps any dimension to the channels that own each of its indices."""

    def __init__(
        self,
        parent: Elements,
        frozen: Frozen,
        products: Products | None = None,
        starts: Elements | None = None,
    ) -> None:
        self.count = len(parent)
        self._starts = np.zeros(1, dtype=np.int64) if starts is None else starts
        self._parent = parent
        self._frozen_by = frozen
        self._products = products
        # The last entry is for nobody, which is -1 as an index.
        self._stays = np.append(parent, NOBODY)
        if frozen:
            elements = np.concatenate([array for array, _ in frozen])
            frozen_roots = np.zeros(len(parent) + 1, dtype=bool)
            frozen_roots[parent[elements[elements != NOBODY]]] = True
            self._stays[frozen_roots[self._stays]] = NOBODY

    def origins(self, channels: Elements) -> Elements:
        """Return, per channel, the number of the dimension it was first made in: siblings share it."""
        return np.asarray(np.searchsorted(self._starts, channels, side="right"), dtype=np.int64)

    def channels(self, dim: Dim) -> Elements:
        """Return the channels that own each index, shape ``[size, owners]``, :data:`NOBODY` for none."""
        return self.resolve(stack(dim))

    def count_key(self, dim: Dim) -> tuple[int, bytes]:
        """Return what is the same for dimensions that keep equally many indices whatever goes.

        These are dimensions that have the same owners, in any order.
        """
        rows = self.channels(dim)
        if rows.shape[1]:
            rows = rows[np.lexsort(rows.T)]
        return dim.size, rows.tobytes()

    def resolve(self, elements: Elements) -> Elements:
        """Replace elements by their channels and products by their factors; drop what is frozen."""
        if not elements.shape[1]:
            return elements
        roots = self._stays[elements]
        while True:
            defined = None if self._products is None else self._products.defined[roots]
            if self._products is None or defined is None or not defined.any():
                return tidy(roots)
            expanded = self._products.factors[roots]
            expanded[..., 0] = np.where(defined, expanded[..., 0], roots)
            roots = self._stays[expanded.reshape(len(roots), -1)]

    def roots(self, dim: Dim) -> bytes:
        """Return what is the same for dimensions whose indices have the same owners in the same order."""
        return self._stays[stack(dim)].tobytes()

    @cached_property
    def _reasons(self) -> dict[int, str]:
        reasons: dict[int, str] = {}
        for array, why in self._frozen_by:
            reason = why if isinstance(why, str) else self._first_of(reasons, why)
            for root in np.unique(self._parent[array[array != NOBODY]]).tolist():
                reasons.setdefault(root, reason)
        return reasons

    def _first_of(self, reasons: dict[int, str], causes: Elements) -> str:
        roots = np.unique(self._parent[causes[causes != NOBODY]]).tolist()
        return next((reasons[root] for root in roots if root in reasons), TIED)

    def reason(self, dim: Dim) -> str:
        """Return why a dimension (or its first index that cannot go) is fixed."""
        for array in dim.owners:
            for root in np.unique(self._parent[array[array != NOBODY]]).tolist():
                if root in self._reasons:
                    return self._reasons[root]
        return dim.reason or "only one channel is left once everything coupled is united"


def stack(dim: Dim) -> Elements:
    """Return a dimension's owners as one array ``[size, owners]``."""
    if not dim.owners:
        return np.full((dim.size, 0), NOBODY, dtype=np.int64)
    if len(dim.owners) == 1:
        return dim.owners[0][:, None]
    return np.stack(dim.owners, axis=1)


def tidy(rows: Elements) -> Elements:
    """Sort each row's owners in descending order without duplicates and cut the empty columns."""
    if rows.shape[1] == 2:
        high, low = np.maximum(rows[:, 0], rows[:, 1]), np.minimum(rows[:, 0], rows[:, 1])
        rows = np.stack([high, np.where(low == high, NOBODY, low)], axis=1)
    elif rows.shape[1] > 1:
        rows = -np.sort(-rows, axis=1)
        duplicate = rows[:, 1:] == rows[:, :-1]
        if duplicate.any():
            rows = rows.copy()
            rows[:, 1:][duplicate] = NOBODY
            rows = -np.sort(-rows, axis=1)
    width = int((rows != NOBODY).any(axis=0).sum()) if len(rows) else 0
    return rows[:, :width]


def _widen(rows: Elements, width: int) -> Elements:
    if rows.shape[1] == width:
        return rows
    filler = np.full((len(rows), width - rows.shape[1]), NOBODY, dtype=np.int64)
    return np.concatenate([rows, filler], axis=1)


def unite(parent: Elements, pairs: Sequence[tuple[Elements, Elements]]) -> Elements:
    """Return, per element, the smallest element it is united with (hooking and pointer jumping)."""
    if not pairs:
        return parent
    left = np.concatenate([pair[0] for pair in pairs])
    right = np.concatenate([pair[1] for pair in pairs])
    both = (left != NOBODY) & (right != NOBODY)
    left, right, parent = left[both], right[both], parent.copy()
    while len(left):
        a, b = _top(parent, left), _top(parent, right)
        different = a != b
        left, right, a, b = left[different], right[different], a[different], b[different]
        np.minimum.at(parent, np.maximum(a, b), np.minimum(a, b))
    return _top(parent, parent)


def _top(parent: Elements, elements: Elements) -> Elements:
    """Follow parents up to where they end."""
    while True:
        above = parent[elements]
        if np.array_equal(above, elements):
            return above
        elements = above


def solve(constraints: Constraints) -> Solution:
    """Solve a trace's constraints."""
    parent = unite(np.arange(constraints.count, dtype=np.int64), constraints.unions)
    frozen: Frozen = list(constraints.frozen)
    starts = np.array(constraints.starts, dtype=np.int64)
    # Where one side of a pair has an owner and the other has none, the owner must stay.
    for left, right in constraints.unions:
        if not len(left) or min(left.min(), right.min()) > NOBODY:
            continue
        for one, other in ((left, right), (right, left)):
            alone = (one != NOBODY) & (other == NOBODY)
            if alone.any():
                frozen.append((one[alone], TIED))
    equalities = [(stack(a), stack(b), a.reason or b.reason) for a, b in constraints.equalities]
    products: Products | None = None
    for number in count() if equalities else ():
        step = _Round(Solution(parent, frozen), len(parent))
        for left, right, reason in equalities:
            step.compare(left, right, reason)
        if not step.changed:
            step.reconcile(thoroughly=number < ROUNDS)
        if not step.changed:
            step.break_cycles()
        if not step.changed:
            products = step.products
            break
        parent = unite(parent, step.unions)
        frozen.extend(step.freezes)
    return Solution(parent, frozen, products, starts)


class _Round:
    """One pass over the equalities between dimensions of which one has several owners per index."""

    def __init__(self, solution: Solution, count: int) -> None:
        self.solution = solution
        self.products = Products(count)
        self.unions: list[tuple[Elements, Elements]] = []
        self.freezes: Frozen = []
        self.conflicts: list[tuple[Elements, Elements]] = []

    @property
    def changed(self) -> bool:
        return bool(self.unions or self.freezes)

    def compare(self, left: Elements, right: Elements, reason: str) -> None:
        """Sort the rows of one equality into unions, freezes, product definitions and conflicts."""
        given = left, right
        left, right = _drop_common(self.solution.resolve(left), self.solution.resolve(right))
        n_left, n_right = (left != NOBODY).sum(axis=1), (right != NOBODY).sum(axis=1)
        self._freeze_uneven(left, right, n_left, n_right, reason or given)
        single = (n_left == 1) & (n_right == 1)
        if single.any():
            self.unions.append((left[single].max(axis=1), right[single].max(axis=1)))
        one_left, one_right = (n_left == 1) & (n_right > 1), (n_right == 1) & (n_left > 1)
        for one, many, rows in ((left, right, one_left), (right, left, one_right)):
            if rows.any():
                contradiction = self.products.define(one[rows].max(axis=1), many[rows])
                if contradiction is not None:
                    self.conflicts.append(contradiction)
        several = (n_left > 1) & (n_right > 1)
        if several.any():
            self.conflicts.append((left[several], right[several]))

    def _freeze_uneven(
        self,
        left: Elements,
        right: Elements,
        n_left: Elements,
        n_right: Elements,
        reason: str | tuple[Elements, Elements],
    ) -> bool:
        """Freeze the owners of rows in which the other side has none, or has none left of those given."""
        uneven = (n_left == 0) != (n_right == 0)
        if uneven.any():
            rows = np.concatenate([left[uneven].reshape(-1), right[uneven].reshape(-1)])
            if isinstance(reason, str):
                self.freezes.append((rows[rows != NOBODY], reason))
            else:
                causes = np.concatenate([side[uneven].reshape(-1) for side in reason])
                self.freezes.append((rows[rows != NOBODY], causes))
        return bool(uneven.any())

    def reconcile(self, *, thoroughly: bool) -> None:
        """Settle conflicts: unite factors that correspond one to one, else freeze the coarsest.

        What settles one may settle others of the same factors, so these wait for the next round; if not
        ``thoroughly``, all factors of all conflicts are frozen instead.
        """
        settled = np.zeros(len(self.products.defined), dtype=bool)
        for left, right in self.conflicts:
            left, right = _drop_common(left, right)
            involved = np.unique(np.concatenate([left.reshape(-1), right.reshape(-1)]))
            involved = involved[involved != NOBODY]
            if not thoroughly:
                self.freezes.append((involved, "its factorisations could not be reconciled"))
            elif not settled[involved].any():
                self._settle(left, right)
                settled[involved] = True

    def _settle(self, left: Elements, right: Elements) -> None:
        n_left, n_right = (left != NOBODY).sum(axis=1), (right != NOBODY).sum(axis=1)
        if self._freeze_uneven(left, right, n_left, n_right, "a factor that only one side has"):
            return
        united = len(self.unions)
        for a in left.T:
            for b in right.T:
                both = (a != NOBODY) & (b != NOBODY)
                if both.any() and _one_to_one(a[both], b[both]):
                    self.unions.append((a[both], b[both]))
        columns = [column[column != NOBODY] for column in (*left.T, *right.T)]
        columns = [column for column in columns if len(column)]
        if columns and len(self.unions) == united:
            coarsest = min(columns, key=lambda column: len(np.unique(column)))
            self.freezes.append((coarsest, "a factor of a dimension that is also split in another way"))

    def break_cycles(self) -> None:
        """Freeze elements that are defined through themselves."""
        reached = self.products.defined.copy()
        elements = np.flatnonzero(reached)
        while len(elements):  # an element stays reached while one of its factors is
            still = reached[self.products.factors[elements]].any(axis=1)
            if still.all():
                self.freezes.append((elements, "a factor of itself"))
                return
            reached[elements[~still]] = False
            elements = elements[still]


def _drop_common(left: Elements, right: Elements) -> tuple[Elements, Elements]:
    """Blank the owners that both sides of a row have."""
    if not (left.shape[1] and right.shape[1]):
        return left, right
    same = left[:, :, None] == right[:, None, :]
    return np.where(same.any(axis=2), NOBODY, left), np.where(same.any(axis=1), NOBODY, right)


def _one_to_one(a: Elements, b: Elements) -> bool:
    pairs = len(np.unique(np.stack([a, b], axis=1), axis=0))
    return pairs == len(np.unique(a)) == len(np.unique(b)) > 1
