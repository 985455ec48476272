"""Whole runs: what ``compress`` and ``compare`` are made of."""
