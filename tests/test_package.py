"""The package itself: every public name is there, nothing hides a verb, and importing it is light."""

import subprocess
import sys
from types import ModuleType

import netsmith as ns


def test_every_public_name_is_there():
    assert sorted(ns.__all__) == dir(ns)
    families = {name for name in ns.__all__ if isinstance(getattr(ns, name), ModuleType)}
    assert {"graph", "cost", "penalties", "train", "zoo"} <= families
    for name in set(ns.__all__) - families:
        assert callable(getattr(ns, name)), name


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_everything_hides_no_verb():
    code = (
        "import pkgutil, importlib, netsmith\n"
        "for m in pkgutil.walk_packages(netsmith.__path__, 'netsmith.'):\n"
        "    if not m.name.endswith('__main__'): importlib.import_module(m.name)\n"
        "print([v for v in netsmith._VERBS if not callable(getattr(netsmith, v))])"
    )
    assert run(code).strip() == "[]"


def test_import_brings_in_nothing_heavy():
    code = "import torch, sys; known = set(sys.modules); import netsmith; print(*(set(sys.modules) - known))"
    assert run(code).split() == ["netsmith"]
