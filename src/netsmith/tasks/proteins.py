"""PROTEINS: 1,113 proteins as graphs of 39 nodes on average; enzyme or not.

Borgwardt, Ong, Schönauer, Vishwanathan, Smola, Kriegel, Protein function prediction via graph kernels (2005),
doi:10.1093/bioinformatics/bti1007.
"""

from __future__ import annotations

from netsmith.tasks.task import Task
from netsmith.tasks.tu_text import load_tu

_SHA256 = "ed0730f9bf9da68aa6a8c80f2f2b6ecea5d05791ca254c709f3efab3b45d937b"


def load(*, train_size: int | None = None, test_size: int | None = None) -> Task:
    """Return the task ``proteins``: always the same split, 890 graphs to train on and 223 held out.

    The split is stratified. A node's features are its tag, one-hot: helix, sheet or turn. Published
    accuracies are means over ten folds of cross-validation, for which this one split stands in.

    Args:
        train_size: keep a class-balanced subset of so many training graphs.
        test_size: the same for the held-out ones.

    Raises:
        NetsmithError: PyTorch Geometric is not installed.
        DataError: the file is missing or not the published one, or a size does not fit it.
    """
    return load_tu("proteins", "PROTEINS", _SHA256, train_size=train_size, test_size=test_size)
