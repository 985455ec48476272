"""MUTAG: 188 molecules as graphs of 18 atoms on average; mutagenic or not.

Debnath, Lopez de Compadre, Debnath, Shusterman, Hansch, Structure-activity relationship of mutagenic aromatic
and heteroaromatic nitro compounds (1991), doi:10.1021/jm00106a046.
"""

from __future__ import annotations

from netsmith.tasks.task import Task
from netsmith.tasks.tu_text import load_tu

_SHA256 = "5897dae243f6c773aab54ec99e86551c3b1e8601acef254714073042c632d30e"


def load(*, train_size: int | None = None, test_size: int | None = None) -> Task:
    """Return the task ``mutag``: always the same split, 150 graphs to train on and 38 held out.

    The split is stratified. A node's features are its tag, one-hot: the kind of atom, seven in all. Published
    accuracies are means over ten folds of cross-validation, for which this one split stands in.

    Args:
        train_size: keep a class-balanced subset of so many training graphs.
        test_size: the same for the held-out ones.

    Raises:
        NetsmithError: PyTorch Geometric is not installed.
        DataError: the file is missing or not the published one, or a size does not fit it.
    """
    return load_tu("mutag", "MUTAG", _SHA256, train_size=train_size, test_size=test_size)
