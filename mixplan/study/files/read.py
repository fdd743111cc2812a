"""Writes a study's files and reads them back; refuses what is damaged, foreign or of another version."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from mixplan.runs import write_json
from mixplan.saved.base_types import Saved
from mixplan.saved.plan import Version
from mixplan.saved.read import File, parsed
from mixplan.study.files.ablations import AblationsFile, Concentration
from mixplan.study.files.own_features import LabelledFile
from mixplan.study.files.zeroing import ZeroingFile

Read = TypeVar("Read", bound=Saved)

JUDGED_AGAIN = "Run `mixplan study run STUDY --run FOLDER` again: it judges again from the cells that are kept."


@dataclass(frozen=True)
class LookedInto:
    """What a study looked into beyond its judgement; None where it did not.

    Attributes:
        concentration: In how few features each change lies.
        ablations: The study judged again with one setting changed at a time.
        zeroing: Trained models without some features.
        labelled: Targets' own features.
    """

    concentration: Concentration | None = None
    ablations: AblationsFile | None = None
    zeroing: ZeroingFile | None = None
    labelled: LabelledFile | None = None


class Unversioned(Version):
    """Files of a study had no version before there was a second mixplan that writes them."""

    version: int = 1


def read_file(kind: type[Read], path: Path, again: str) -> Read:
    """Read one of a study's files.

    Args:
        kind: What it holds.
        path: The file.
        again: How it is made again, a sentence.

    Raises:
        RunError: it is not there, damaged, foreign, or of another version; names each field that is wrong.
    """
    file = File(path, path.name, again)
    return parsed(kind, file.bytes(), file, first=Unversioned)


def looked_into(folder: Path, again: str) -> LookedInto:
    """Read what a study looked into beyond its judgement, as far as it is there.

    Raises:
        RunError: one of the files is damaged, foreign, or of another version.
    """

    def there(kind: type[Read], name: str) -> Read | None:
        path = folder / name
        return read_file(kind, path, again) if path.exists() else None

    return LookedInto(
        concentration=there(Concentration, "concentration.json"),
        ablations=there(AblationsFile, "ablations.json"),
        zeroing=there(ZeroingFile, "zeroing.json"),
        labelled=there(LabelledFile, "labelled.json"),
    )


def read_whole(kind: type[Read], path: Path) -> Read | None:
    """Read a file that is made again where it is not there whole: then None."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def write_file(path: Path, file: Saved) -> None:
    """Write one of a study's files, atomically.

    Raises:
        RunError: the folder cannot be written, or the disk is full.
    """
    write_json(path, file.values())
