"""Runs the documented commands that take minutes and holds what their pages show against what is printed.

A block of commands is run when `<!-- docs-check -->` stands above it; a block of text right behind it must be printed:
each shown line, whatever its breaks, `…` standing for anything. Commands are run as they are written, but the README's
recipe is cut to few tokens, so that all takes minutes on two cores.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from docs_blocks import ROOT, Block, blocks, pages

MARK = "docs-check"
IN_RUN_FOLDER = "docs-check in the run folder"
LONG = "docs-check --long"
"""A quarter of an hour and more, run only where it is asked for."""
ELSEWHERE = ("bin/test",)
"""Commands that have their own place in a check of everything."""
SIZES = ("drift.query_tokens=240", "drift.draws=1", "sts.query_tokens=80", "sts.draws=1", "sts.demonstrations=2")
SIZES += ("evaluate.rows=2", "evaluate.answer_tokens=8", "evaluate.behaviour_tokens=8", "mixture.target_rows=16")
SIZES += ("train.args.max_steps=3",)
WIDTH = "160"
"""Columns of the terminal: no cell of a table is folded."""


def commands(block: Block) -> Iterator[str]:
    """The commands of a block, one a line, without their comments."""
    for line in block.text.splitlines():
        command = line.partition("  #")[0].partition(" # ")[0].strip()
        if command and not command.startswith("#") and command not in ELSEWHERE:
            yield command


def as_run(command: str, page: str) -> str:
    """A command as it is run in a folder elsewhere: scripts by their place, README's recipe cut to few tokens."""
    command = re.sub(r"(^|\()bin/", rf"\1{ROOT}/bin/", command)
    command = re.sub(r"^mixplan ", f"{ROOT}/bin/mixplan ", command)
    if re.search(r"bin/quickstart( --train)?$", command):
        return f"{command} --run $PWD/runs/quickstart"
    if page == "README.md" and re.search(r"mixplan (plan|train) ", command):
        return command + "".join(f" --set {size}" for size in SIZES)
    return command


def run(command: str, folder: Path) -> str:
    """What a command prints.

    Raises:
        SystemExit: it ends otherwise than well.
    """
    print_line(f"$ {command}")
    started = time.monotonic()
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = os.environ | {"COLUMNS": WIDTH, "HF_HUB_OFFLINE": "1", "PATH": beside}
    done = subprocess.run(
        ["bash", "-euc", command],
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        print_line(done.stdout)
        raise SystemExit(f"{command}: ended with {done.returncode}")
    print_line(f"  {time.monotonic() - started:.0f} s")
    return done.stdout


def missing(shown: str, printed: str) -> list[str]:
    """Lines that are shown and were not printed."""
    flat = " ".join(printed.split())
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    return [line for line in lines if not re.search(re.escape(line).replace("…", ".*?"), flat)]


def lay(page: str, folder: Path) -> None:
    """Write the files that a page shows, and the rows that README's recipe asks for."""
    for block in blocks(ROOT / page):
        if block.title:
            (folder / block.title).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.title).write_text(block.text, encoding="utf-8")
    rows = ({"instruction": f"What is {n} plus {n + 3}?", "output": f"It is {2 * n + 3}."} for n in range(80))
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def check(page: str, folder: Path, marks: Sequence[str]) -> list[str]:
    """Run a page's blocks with one of the marks in a folder; what it shows and was not printed."""
    lay(page, folder)
    wrong: list[str] = []
    found = list(blocks(ROOT / page))
    for number, block in enumerate(found):
        if block.comment not in marks:
            continue
        place = folder
        if block.comment == IN_RUN_FOLDER:
            place = folder / "planned"
            run(f"{ROOT}/bin/mixplan plan {ROOT}/examples/own_jsonl.yaml --run {place}", folder)
        printed = "\n".join(run(as_run(command, page), place) for command in commands(block))
        behind = found[number + 1] if number + 1 < len(found) else None
        if behind is not None and behind.language == "text":
            wrong += [f"{page}:{behind.line}: not printed: {line}" for line in missing(behind.text, printed)]
    return wrong


def print_line(text: str) -> None:
    """Print at once, so that what runs is seen."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str]) -> None:
    """Check the pages given, or all."""
    wrong: list[str] = []
    marks = (MARK, IN_RUN_FOLDER, *([LONG] if "--long" in arguments else []))
    wanted = [argument for argument in arguments if argument != "--long"]
    for page in wanted or [str(path.relative_to(ROOT)) for path in pages()]:
        if any(block.comment in marks for block in blocks(ROOT / page)):
            print_line(page)
            with tempfile.TemporaryDirectory(prefix="mixplan-docs-") as folder:
                wrong += check(page, Path(folder), marks)
    if wrong:
        raise SystemExit("\n".join(wrong))
    print_line("Every command ran, and what is shown was printed.")


if __name__ == "__main__":
    main(sys.argv[1:])
