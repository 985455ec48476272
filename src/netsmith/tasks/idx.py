"""The IDX file format of MNIST and its descendants, gzipped or not."""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path

import torch
from torch import Tensor

from netsmith.errors import DataError

_UINT8 = 0x08


def read_idx(path: Path, md5: str) -> Tensor:
    """Return the uint8 tensor in an IDX file.

    The format: two zero bytes, a type byte, the number of dimensions, each size as a big-endian uint32,
    then the values in row-major order (LeCun, Cortes, Burges, http://yann.lecun.com/exdb/mnist/).

    Args:
        path: the file; ``.gz`` is decompressed.
        md5: of the *uncompressed* bytes. The same data gzipped elsewhere has another compressed checksum.

    Raises:
        DataError: the file cannot be decompressed, is not the published one, or is not uint8 IDX.
    """
    content = _content(path)
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5:
        raise DataError(
            f"wrong checksum of {path} (uncompressed): expected md5 {md5}, got {found}; "
            "replace it with an unchanged copy"
        )
    return _decode(content, path)


def _content(path: Path) -> bytes:
    raw = path.read_bytes()
    if path.suffix != ".gz":
        return raw
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} is not a whole gzip file ({error}); replace it with an unchanged copy"
        ) from error


def _decode(content: bytes, path: Path) -> Tensor:
    dimensions = content[3] if len(content) >= 4 else 0
    start = 4 + 4 * dimensions
    if len(content) < start or content[:3] != bytes((0, 0, _UINT8)):
        raise DataError(f"{path} is not an IDX file of bytes; its first bytes are {content[:4].hex(' ')!r}")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    if len(content) != start + math.prod(shape):
        raise DataError(f"{path} says shape {list(shape)} but holds {len(content) - start} values")
    return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=start).view(shape)
