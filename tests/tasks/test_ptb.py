from __future__ import annotations

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import netsmith.tasks
from netsmith.errors import DataError
from netsmith.tasks.text import UNKNOWN, ids_of, vocabulary, windows, words_of


@pytest.fixture
def real(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETSMITH_DATA", str(shared_data))


@pytest.fixture
def own_copy(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a copy of the real archive that a test may damage."""
    folder = tmp_path / "ptb"
    folder.mkdir()
    shutil.copyfile(shared_data / "ptb" / "ptb.zip", folder / "ptb.zip")
    monkeypatch.setenv("NETSMITH_DATA", str(tmp_path))
    return folder


class Frequencies(nn.Module):
    """The logarithm of how often each word comes, wherever it stands."""

    def __init__(self, counts: Tensor) -> None:
        super().__init__()
        self.register_buffer("logits", counts.log())

    def forward(self, tokens: Tensor) -> Tensor:
        return self.logits.expand(*tokens.shape, -1)


def test_published_sizes_and_the_perplexity_of_word_frequencies(real: None) -> None:
    task = netsmith.tasks.load("ptb")
    tokens, following = task.train.tensors
    assert (task.classes, task.input_shape, task.kind) == (10_000, (35,), "tokens")
    assert tokens.shape == following.shape == ((929_589 - 1) // 35, 35)
    assert len(task.test) == (82_430 - 1) // 35
    assert torch.equal(tokens.flatten()[1:], following.flatten()[:-1])
    counts = tokens.flatten().bincount(minlength=10_000)
    # Ids are by frequency; what falls off the last window can shift a count by a few.
    assert bool((counts[:-1] - counts[1:] >= -35).all())
    held_out = torch.utils.data.TensorDataset(*(part[:100] for part in task.test.tensors))
    found = replace(task, test=held_out).measure(Frequencies(counts + 1.0))
    targets = held_out.tensors[1]
    share = float((targets == int(counts.argmax())).double().mean())
    nats = -((counts + 1.0) / (counts + 1.0).sum()).log()[targets].double().mean()
    assert found["accuracy"] == pytest.approx(share)
    assert found["perplexity"] == pytest.approx(float(nats.exp()), rel=1e-4)
    assert 500 < found["perplexity"] < 900


def test_short_runs_take_the_first_windows_and_fewer_words(real: None) -> None:
    whole = netsmith.tasks.load("ptb", length=8)
    task = netsmith.tasks.load("ptb", length=8, words=100, train_size=50, test_size=20)
    assert (len(task.train), len(task.test), task.classes) == (50, 20, 100)
    before, after = whole.train.tensors[0][:50], task.train.tensors[0]
    # The 99 most frequent words keep the places they have among themselves; all others are one word.
    assert after.max() < 100
    assert (before >= 100).any()
    kept = before < 50
    assert torch.equal(before[kept], after[kept])


def test_words_and_vocabulary_by_hand() -> None:
    words = words_of("a b\nb c c\n")
    assert words == ["a", "b", "<eos>", "b", "c", "c", "<eos>"]
    assert vocabulary(words) == {"<eos>": 0, "b": 1, "c": 2, "a": 3, UNKNOWN: 4}
    known = vocabulary(words, 3)
    assert ids_of(["a", "b", "z"], known).tolist() == [known[UNKNOWN], known["b"], known[UNKNOWN]]


def test_windows_by_hand() -> None:
    data = windows(torch.arange(8), 3)
    assert [part.tolist() for part in data.tensors] == [[[0, 1, 2], [3, 4, 5]], [[1, 2, 3], [4, 5, 6]]]
    assert len(windows(torch.arange(8), 3, 1)) == 1


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"length": 0}, "window of 0 tokens does not fit"),
        ({"length": 2_000_000}, "window of 2000000 tokens does not fit"),
        ({"train_size": 0}, "0 windows of 35 tokens were asked for; give a size from 1 to 26559"),
        ({"words": 1}, "vocabulary of 1 words was asked for; give a size from 2 to 10000"),
    ],
)
def test_sizes_that_do_not_fit(real: None, options: dict[str, int], match: str) -> None:
    with pytest.raises(DataError, match=match):
        netsmith.tasks.load("ptb", **options)


def test_plain_files_will_do_and_a_changed_one_is_found(own_copy: Path) -> None:
    with zipfile.ZipFile(own_copy / "ptb.zip") as archive:
        for name in ("ptb.train.txt", "ptb.test.txt"):
            (own_copy / name).write_bytes(archive.read(name))
    (own_copy / "ptb.zip").unlink()
    assert netsmith.tasks.load("ptb", train_size=2, test_size=2).classes == 10_000
    with (own_copy / "ptb.test.txt").open("a") as file:
        file.write("one more line\n")
    with pytest.raises(DataError, match=r"wrong checksum of ptb\.test\.txt in .*expected md5 8b80168b"):
        netsmith.tasks.load("ptb")


def test_truncated_archive(own_copy: Path) -> None:
    path = own_copy / "ptb.zip"
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(DataError, match=f"{path} is not a whole archive with ptb.train.txt"):
        netsmith.tasks.load("ptb")
