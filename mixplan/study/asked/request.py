"""Holds what `mixplan study` was asked, and refuses what a study cannot give."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from mixplan.errors import RunError
from mixplan.study.asked.spec import LoadedStudy
from mixplan.train.launch import Launch
from mixplan.train.machine_share import Part


@dataclass(frozen=True)
class StudyRequest:
    """What `mixplan study` was asked.

    Attributes:
        place: The study's file.
        run: Run folder; `runs/NAME` when None, by the name of the study's folder.
        jobs: Processes that work on cells, or on a study of arms' comparisons, at once.
        launch: How each job is started, with one process when it does not say how many.
        ablations: To judge, look further as the study's file asks: a study that is run looks further in the end. To
            work on it, train the SAEs that this needs, and no cell.
        measured: A trainings.jsonl of this or a like study of arms from another run folder: what it holds is not
            trained again.
    """

    place: Path
    run: Path | None = None
    jobs: int = 1
    launch: Launch = field(default_factory=Launch)
    ablations: bool = False
    measured: Path | None = None

    @property
    def processes(self) -> int:
        """Of each job, alike on every machine: they multiply the batch."""
        return self.launch.processes or 1

    @property
    def first(self) -> Launch:
        """How this process starts its jobs, on the first part of the machine."""
        return replace(self.launch, processes=self.processes, part=Part(0, self.jobs))


def run_of(request: StudyRequest) -> Path:
    """The run folder."""
    return request.run or Path("runs") / study_name(request.place)


def study_name(place: Path) -> str:
    """A study's name: its folder's where the file is called study.yaml, else the file's."""
    return place.resolve().parent.name if place.stem == "study" else place.stem


def expect_ablations(request: StudyRequest, study: LoadedStudy) -> None:
    """Refuse to look further into a study whose file does not ask for it.

    Raises:
        RunError: it does not.
    """
    if request.ablations and study.spec.ablations is None:
        raise RunError(
            "--ablations looks further as `ablations` in the study's file asks, and this one has none. Leave "
            "--ablations out, or add the section."
        )


def expect_arms(request: StudyRequest, study: LoadedStudy) -> None:
    """Refuse measured trainings of arms for a study that has no arms.

    Raises:
        RunError: it has none.
    """
    if request.measured is not None and study.spec.arms is None:
        raise RunError("--measured takes up a study of arms, and this study has no `arms`. Leave --measured out.")
