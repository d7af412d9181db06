"""`python -m queueing` is `queueing`."""

from queueing.cli.main import main

main()
