"""Downloads the packages that a bare GPU machine lacks, and deals them to folders of at most 60 MiB each.

bin/device-check pack FOLDER [--have FREEZE] [--python 3.12]
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MOST_BYTES = 60 << 20
"""Of one folder, under the 64 MiB that one transfer may take."""

GLIBC = (17, 27, 28, 31, 34)
"""Versions 2.N of glibc whose wheels a current Linux runs; pip takes each only where it is named."""

THERE = {"torch", "triton", "pip", "setuptools", "wheel"}
"""What such a machine has in builds of its own; anything of nvidia's besides."""

HELD_BACK = {
    *("mypy", "mypy-extensions", "ruff", "types-pyyaml", "hypothesis"),
    *("lm-eval", "sacrebleu", "rouge-score", "wandb"),
}
"""Pinned for development or for commands that the check does not give."""


def plain(name: str) -> str:
    """A package's name as all spellings of it are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned() -> dict[str, str]:
    """Requirement by package, from constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return {plain(line.partition("==")[0]): line for line in lines if "==" in line and not line.startswith("#")}


def deal(files: list[Path], folder: Path) -> list[Path]:
    """Put files into numbered folders, a file too large for one in parts; returns the folders."""
    made: list[Path] = []
    left = 0
    for file in sorted(files, key=lambda file: -file.stat().st_size):
        data = file.read_bytes()
        pieces = [data[start : start + MOST_BYTES] for start in range(0, len(data), MOST_BYTES)]
        for number, piece in enumerate(pieces):
            if len(piece) > left:
                made.append(folder / str(len(made) + 1))
                made[-1].mkdir(parents=True, exist_ok=True)
                left = MOST_BYTES
            name = file.name if len(pieces) == 1 else f"{file.name}.part{number:02}"
            (made[-1] / name).write_bytes(piece)
            left -= len(piece)
    return made


def main() -> None:
    """Download and deal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--have", type=Path, help="the machine's `pip freeze`, or its packages' names, a line each")
    parser.add_argument("--python", default="3.12", help="the machine's Python")
    given = parser.parse_args()
    have = set()
    if given.have:
        have = {plain(re.split(r"[=<>@ ]", line)[0]) for line in given.have.read_text().split("\n") if line.strip()}
    wanted = {
        name: line for name, line in pinned().items()
        if name not in THERE | HELD_BACK | have and not name.startswith("nvidia")
    }  # fmt: skip
    raw = given.folder / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    platforms = [part for n in GLIBC for part in ("--platform", f"manylinux_2_{n}_x86_64")]
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(raw)]
    tags = [
        *("--python-version", given.python, "--implementation", "cp", *platforms),
        *("--platform", "manylinux2014_x86_64", "--platform", "manylinux1_x86_64"),
    ]
    missing = []
    for name, line in sorted(wanted.items()):
        wheel = [*command, "--only-binary=:all:", *tags, line]
        # What ships its source alone travels as it is and is built there.
        source = [*command, "--no-binary=:all:", "--no-build-isolation", line]
        if all(subprocess.run(asked, capture_output=True, check=False).returncode for asked in (wheel, source)):
            missing.append(name)
    folders = deal(list(raw.iterdir()), given.folder)
    for file in raw.iterdir():
        file.unlink()
    raw.rmdir()
    for folder in folders:
        size = sum(file.stat().st_size for file in folder.iterdir())
        print(f"{folder}: {size / 2**20:.1f} MiB in {len(list(folder.iterdir()))} files")  # noqa: T201 - output
    if missing:
        print(f"Neither wheel nor source: {', '.join(missing)}", file=sys.stderr)  # noqa: T201 - output


if __name__ == "__main__":
    main()
