"""HTML reports: one self-contained page for a compression or a comparison, offline, from plain data.

The report takes what ``result.json`` holds and touches no model; it can be made again at any time.
"""

from netsmith.report.comparison import render_comparison
from netsmith.report.files import write, write_comparison
from netsmith.report.page import render

__all__ = ["render", "render_comparison", "write", "write_comparison"]
