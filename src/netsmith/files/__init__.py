"""Files: models as plain data (``.nsm``), and ONNX for deployment."""

from netsmith.files.atomic import atomic
from netsmith.files.loading import load, load_program, load_records
from netsmith.files.onnx import Exported, export
from netsmith.files.runtime import time_onnx
from netsmith.files.saving import save

__all__ = ["Exported", "atomic", "export", "load", "load_program", "load_records", "save", "time_onnx"]
