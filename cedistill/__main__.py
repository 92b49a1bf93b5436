"""``python -m cedistill`` is the command line."""

from cedistill.cli import main

main()
