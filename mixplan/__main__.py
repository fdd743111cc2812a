"""Runs the command line as `python -m mixplan`, which is also how `accelerate launch -m mixplan` starts it."""

from mixplan.cli import main

main()
