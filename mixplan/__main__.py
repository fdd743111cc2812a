"""`python -m mixplan` runs the command line, which is also how `accelerate launch -m mixplan` starts it."""

from mixplan.cli import main

main()
