"""Holds the command line and its commands, each of whose modules loads only when that command runs."""

from __future__ import annotations

import gc
import importlib
import signal
import sys
from types import ModuleType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from mixplan import __version__
from mixplan.errors import MixplanError

COMMANDS = {
    "plan": ("mixplan.cli.plan:plan", "Plan a mixture: ratios with reasons, a mixed data set, a report."),
    "train": ("mixplan.cli.train:train", "Train on a planned mixture; measure every domain before and after."),
    "eval": ("mixplan.cli.eval:evaluate", "Measure a run's models again, by other measures where asked."),
    "export": ("mixplan.cli.export:export", "Write a planned mixture in another trainer's form."),
    "push": ("mixplan.cli.push:push", "Push a mixture, model or report to a hub repository."),
    "diff": ("mixplan.cli.diff:diff", "Say what a training changed, by domain and by feature, without a plan."),
    "compare": ("mixplan.cli.compare:compare", "Train control mixtures beside the planned one."),
    "study": ("mixplan.cli.study:app", "Train many targets; say how good each forecast is."),
    "check": ("mixplan.cli.check:check", "Validate recipes; count local rows; say what would be downloaded."),
    "new": ("mixplan.cli.new:new", "Start a recipe from another one."),
    "ls": ("mixplan.cli.ls:ls", "List recipes, model configs, domain suites and past runs."),
    "report": ("mixplan.cli.report:report", "Show finished runs again and rewrite their reports."),
    "sae": ("mixplan.cli.sae:app", "List pretrained SAEs, or train one."),
    "schema": ("mixplan.cli.schema:schema", "Write the JSON Schema that editors check recipes with."),
}
"""A command's name, the function (or typer app) that runs it, and its line in `mixplan --help`."""

RESUMED = ("plan", "train", "eval", "diff", "compare", "study", "sae")
"""Commands that go on where they were stopped."""

INTERRUPTED = 130
"""What typer exits with after Ctrl-C."""


class LazyGroup(TyperGroup):
    """Lists commands from the table and imports one only to run it or to show its own help."""

    def list_commands(self, ctx: object) -> list[str]:  # noqa: ARG002 - typer's signature
        """Command names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: object, cmd_name: str) -> TyperCommand | None:  # noqa: ARG002 - typer's signature
        """A stand-in with the command's name and help line, enough for help and completion."""
        if cmd_name not in COMMANDS:
            return None
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name][1])

    def resolve_command(self, *args: Any, **kwargs: Any) -> Any:
        """Find the command that the arguments name, and load it."""
        name, stand_in, rest = super().resolve_command(*args, **kwargs)
        return name, load_command(name) if name in COMMANDS else stand_in, rest


def load_command(name: str) -> Any:
    """Import a command, as the parser that typer makes of it."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    found = getattr(imported(module), attribute)
    if isinstance(found, typer.Typer):
        command = typer.main.get_command(found)
    else:
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(name)(found)
        command = typer.main.get_command(single)
    command.name = name
    return command


def imported(module: str) -> ModuleType:
    """Import a module, whose objects the garbage collector goes through neither meanwhile nor afterwards.

    They live as long as the process does, and going through them took a fifth of a plan that reads nothing anew.
    """
    if module in sys.modules or not gc.isenabled():
        return importlib.import_module(module)
    gc.disable()
    try:
        return importlib.import_module(module)
    finally:
        gc.freeze()
        gc.enable()


app = typer.Typer(
    cls=LazyGroup,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mixplan {__version__}")
        raise typer.Exit


@app.callback()
def mixplan(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Know before training which domains a post-training job will change, and plan the data that protects them."""


def main() -> None:
    """Run the command line; exits 0 done, 1 a problem (on stderr), 2 wrong usage, 3 a broken gate, 130 interrupted."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        # As Ctrl-C does, it stops with a checkpoint saved; what was told to be passed over (nohup) still is.
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    try:
        app(prog_name="mixplan")
    except MixplanError as error:
        from mixplan.report.command_line import callable_commands  # loads what a command that ends well may not need

        typer.echo(callable_commands(str(error)), err=True)
        sys.exit(1)
    except SystemExit as ended:
        if ended.code == INTERRUPTED and sys.argv[1] in RESUMED:
            typer.echo("Interrupted. What is done is kept: the same command goes on from there.", err=True)
        raise
