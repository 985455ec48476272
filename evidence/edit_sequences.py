"""Random sequences of edits over random small networks: every edit exact or refused, nothing half done.

Each sequence takes a convolutional, recurrent, attention or graph network of a seed through up to six edits
(remove, split, widen, undo, factorise, deepen, bypass, fold, merge; a third of them in place). After every
edit the output is compared with what it should be, after every refusal the model with what it was; at the end
the records are replayed on a fresh instance, and the model is saved and loaded. The quick tier runs 25
sequences, the full tier 1,000.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from common import Evidence

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "edits"))

from random_edits import EXACT, NAMES, Sequence


def main() -> int:
    with Evidence("edit-sequences") as evidence:
        count = 1000 if evidence.full else 25
        outcomes: Counter[tuple[str, str]] = Counter()
        failed: list[str] = []
        worst = 0.0
        for seed in range(evidence.seed * count, (evidence.seed + 1) * count):
            sequence = Sequence(seed)
            try:
                sequence.run()
            except Exception as error:
                failed.append(f"seed {seed}: {type(error).__name__}: {str(error).splitlines()[0]}")
            outcomes += sequence.outcomes
            worst = max(worst, sequence.worst)
        report(evidence, count, outcomes, failed, worst)
    return evidence.status


def report(
    evidence: Evidence, count: int, outcomes: Counter[tuple[str, str]], failed: list[str], worst: float
) -> None:
    evidence.row(
        f"of {count} sequences, those with an edit neither exact nor refused, or a model touched on refusal",
        reference="0",
        got=len(failed) if len(failed) == 0 else "; ".join(failed[:5]),
        holds=not failed,
    )
    evidence.row(
        "largest relative difference of an output from what it should be (double precision)",
        reference=f"<= {EXACT:g}",
        got=worst,
        holds=worst <= EXACT,
    )
    for name in (*NAMES, "file"):
        exact, refused = outcomes[name, "exact"], outcomes[name, "refused"]
        what = "saved and loaded bit for bit" if name == "file" else f"{name}: exact edits"
        holds = exact >= 1 if evidence.full else None
        evidence.row(f"{what} ({refused} refused)", reference=">= 1", got=exact, holds=holds)


if __name__ == "__main__":
    sys.exit(main())
