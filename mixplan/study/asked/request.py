"""Holds what `mixplan study` was asked, and refuses what a study cannot give."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from mixplan.errors import RunError
from mixplan.study.asked.spec import LoadedStudy
from mixplan.train.launch import Launch
from mixplan.train.part import Part


@dataclass(frozen=True)
class StudyRequest:
    """What `mixplan study` was asked.

    Attributes:
        place: The study's file.
        run: Run folder; `runs/NAME` when None, by the name of the study's folder.
        jobs: Processes that work on cells, or on a study of arms' comparisons, at once.
        launch: How each job is started, with one process when it does not say how many.
        cells_only: Work on these and end there, as a further process beside the one that judges.
        so_far: Work on nothing and judge the seeds, and of arms the budgets, that every target is finished with.
        ablations: With `so_far`, look further as the study's file asks: without it that is done in the end. With
            `cells_only`, train the SAEs that this needs, and no cell.
        measured: A trainings.jsonl of this or a like study of arms from another run folder: what it holds is not
            trained again.
    """

    place: Path
    run: Path | None = None
    jobs: int = 1
    launch: Launch = field(default_factory=Launch)
    cells_only: bool = False
    so_far: bool = False
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


def expect_options(request: StudyRequest, study: LoadedStudy) -> None:
    """Refuse what this kind of study does not have.

    Raises:
        RunError: says what.
    """
    if request.ablations and not ((request.so_far or request.cells_only) and study.spec.ablations):
        raise RunError(
            "--ablations looks further into what is judged by --so-far, as `ablations` in the study's file asks, or "
            "with --cells-only trains the SAEs for it. Give one of these, or leave it out: a study that is worked on "
            "to its end looks further by itself."
        )
    if request.measured is not None and study.spec.arms is None:
        raise RunError("--measured takes up a study of arms, and this study has no `arms`. Leave --measured out.")
