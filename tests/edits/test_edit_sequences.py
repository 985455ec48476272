"""Random edit sequences: exact or refused, replayable, storable, nothing half done."""

import pytest
from random_edits import Sequence


@pytest.mark.parametrize("seed", range(60))
def test_every_edit_is_exact_or_refused(seed):
    Sequence(seed).run()
