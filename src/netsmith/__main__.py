"""``python -m netsmith`` is the command ``netsmith``."""

from netsmith.cli import main

main()
