"""An optimiser's parameters while edits are followed one by one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any

from netsmith.edits.move import moves_of
from netsmith.edits.records import Record
from netsmith.edits.state import moved, powers_of


@dataclass
class Slot:
    """A parameter of an optimiser: its name and shape now, its group, its state."""

    name: str
    shape: list[int]
    group: int
    state: dict[str, Any] | None


class Following:
    """An optimiser's parameters, and the names of all that come from the original model.

    Args:
        slots: the optimiser's parameters.
        names: every parameter and buffer of the original, the optimiser's or not.
    """

    def __init__(self, slots: list[Slot], names: list[str]) -> None:
        self.slots = slots
        self.known = set(names)
        self.heirs: dict[str, int] = {}
        """The group of each parameter that replaces one of the optimiser's."""

    def step(self, record: Record, *, back: bool) -> None:
        """Follow one record, or its being undone."""
        renamed, replaced = record.get("renamed", {}), record.get("replaced", {})
        if back:
            renamed = {new: old for old, new in renamed.items()}
            replaced = {
                new: [old for old, others in replaced.items() if new in others]
                for new in chain.from_iterable(replaced.values())
            }
        gone = {name for name, new in replaced.items() if name not in new}
        for slot in self.slots:
            if slot.name in gone:
                self.heirs |= dict.fromkeys(replaced[slot.name], slot.group)
        for name in gone & self.heirs.keys():
            self.heirs |= dict.fromkeys(replaced[name], self.heirs.pop(name))
        self.slots = [self._moved(slot, record, back) for slot in self.slots if slot.name not in gone]
        for slot in self.slots:
            slot.name = renamed.get(slot.name, slot.name)
        self.known = {renamed.get(name, name) for name in self.known - gone}
        self.heirs = {renamed.get(name, name): group for name, group in self.heirs.items()}

    def _moved(self, slot: Slot, record: Record, back: bool) -> Slot:
        moves = moves_of(record, slot.name, slot.shape)
        if not moves:
            return slot
        powers = powers_of(slot.state or {})
        state = slot.state and {
            key: moved(value, key, slot.name, slot.shape, moves, back=back, power=powers.get(key))
            for key, value in slot.state.items()
        }
        shape = [moves[dim].new_size(back) if dim in moves else size for dim, size in enumerate(slot.shape)]
        return Slot(slot.name, shape, slot.group, state)

    def check_fits(self) -> None:
        """Refuse state that does not belong to the shape its parameter has."""
        for slot in self.slots:
            for key, value in (slot.state or {}).items():
                moved(value, key, slot.name, slot.shape, {}, back=False)
