"""Formats of sparse tensors: encoders that give the same bits back, and how long they are."""

from netsmith.sparsity.formats.bitmap import Bitmap
from netsmith.sparsity.formats.compressed_rows import CompressedRows
from netsmith.sparsity.formats.coordinate import Coordinate
from netsmith.sparsity.formats.delta import Delta
from netsmith.sparsity.formats.run_length import RunLength
from netsmith.sparsity.formats.sizes import FORMATS, bound, sizes
from netsmith.sparsity.formats.stored import Format, Stored

__all__ = [
    "FORMATS",
    "Bitmap",
    "CompressedRows",
    "Coordinate",
    "Delta",
    "Format",
    "RunLength",
    "Stored",
    "bound",
    "sizes",
]
