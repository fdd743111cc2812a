"""Trains a pilot of a job and measures it; what is done is kept in the run folder, and work goes on from there."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mixplan.domains import Domain, Row
from mixplan.domains.cached_domains import opened
from mixplan.errors import RunError
from mixplan.evaluate import evaluate
from mixplan.evaluate.measure import content
from mixplan.forecast import Planned
from mixplan.mixture import allowed, take_target
from mixplan.mixture.feasibility import impossible
from mixplan.model import Model, give_back_memory, load_model, load_trained
from mixplan.pilot.choice import chosen
from mixplan.pilot.steps import pilot_job
from mixplan.plan.make import planned_of, refuse_untrainable, scores_of
from mixplan.plan.untrained import ReadBy
from mixplan.plan.write import write_mixture
from mixplan.reading import Watcher, standalone
from mixplan.recipe import LoadedRecipe
from mixplan.runs import content_hash
from mixplan.saved.pilot import PILOT, Pilot, PilotDomain, read_pilot, write_pilot
from mixplan.saved.plan import Job
from mixplan.saved.scores import Scores
from mixplan.train.launch import Launch
from mixplan.train.make import Trained, prepare, train
from mixplan.train.verify import AsPlanned

VERSION = 1
"""Of what is measured; part of a pilot's key."""


@dataclass(frozen=True)
class Bench:
    """What a pilot is trained and measured with.

    Attributes:
        loaded: The recipe.
        folder: The run folder; the pilot has its own in it.
        watcher: Told of progress.
    """

    loaded: LoadedRecipe
    folder: Path
    watcher: Watcher

    @property
    def place(self) -> Path:
        """The pilot's folder."""
        return self.folder / PILOT

    @property
    def dtype(self) -> str:
        """Compute type of the measuring: float32 unless the recipe names one.

        A pilot may change less than the 0.0015 to 0.002 nats that two readings of one model in bfloat16 differ by.
        """
        asked = self.loaded.recipe.model.dtype
        return "float32" if asked == "auto" else asked

    def run(self) -> None:
        """Train and measure the pilot, or go on where that was stopped; nothing where it stands.

        Raises:
            MixplanError: anything that the person can mend.
            KeyboardInterrupt: it was stopped; a checkpoint was saved.
        """
        refuse_untrainable(self.loaded)
        target, read = opened(self.loaded)
        for problem in impossible(self.loaded.recipe, target, read):
            raise problem
        domains = allowed(self.loaded.recipe.mixture, read)
        rows = sum(taken.count for taken in take_target(target, self.loaded.recipe.mixture.target_rows))
        job, _ = pilot_job(self.loaded, rows)
        scores, _ = scores_of(self.loaded, target, domains, self.watcher, folder=self.folder)
        planned = planned_of(self.loaded, target, domains, scores)
        given = self.prepared(target, domains, scores)
        training = prepare(self.place, self.loaded, given, mixture=self.place / "mixture", max_steps=round(job.steps))
        if self.standing(training.key, domains) is not None:
            self.watcher.say(f"the pilot is reused from an earlier plan: {self.place}")
            return
        names, sentence = self.names(planned, domains, scores, job)
        self.watcher.say(sentence)
        trained = train(
            self.place,
            self.loaded,
            given,
            launch=Launch(processes=1),  # as its strength, and the job's, are counted
            watcher=self.watcher,
            mixture=self.place / "mixture",
            max_steps=round(job.steps),
        )
        self.measure(trained, training.key, {name: domains[name] for name in names}, scores, job)

    def prepared(self, target: Domain, domains: Mapping[str, Domain], scores: Scores) -> AsPlanned:
        """Write the target's rows alone as the pilot's mixture, and say what it is planned with."""
        none = dict.fromkeys(domains, 0)
        write_mixture(self.loaded, self.place, target, domains, none, ReadBy.of(scores), self.watcher)
        recipe = content_hash(standalone(self.loaded))
        return AsPlanned(recipe=recipe, values=self.loaded.resolved, model=scores.model.hash)

    def key(self, training: str, domains: Mapping[str, Domain]) -> str:
        """Hash of all that decides what a pilot changed in some domains."""
        rows = {name: content(self.rows(domain)) for name, domain in domains.items()}
        spec = self.loaded.recipe.evaluate
        return content_hash(VERSION, training, rows, spec.behaviour_tokens, self.dtype)

    def rows(self, domain: Domain) -> Sequence[Row]:
        """The evaluation rows of a domain that are measured."""
        return domain.evaluation[: self.most_rows]

    @property
    def most_rows(self) -> int | None:
        """Evaluation rows of a domain at most."""
        return self.loaded.recipe.forecast.pilot.rows or self.loaded.recipe.evaluate.rows

    def standing(self, training: str, domains: Mapping[str, Domain]) -> Pilot | None:
        """A pilot that was measured of this very job, on domains that the recipe still asks for; None else."""
        try:
            found = read_pilot(self.place)
        except RunError as error:
            self.watcher.say(f"{error} It is measured again.")
            return None
        asked = self.loaded.recipe.forecast.pilot.domains
        if found is None or found.training != training or not found.domains.keys() <= domains.keys():
            return None
        if found.chosen != ("auto" if asked == "auto" else "recipe"):
            return None
        if asked != "auto" and set(found.domains) != set(asked):
            return None
        measured = {name: domains[name] for name in found.domains}
        return found if found.key == self.key(training, measured) else None

    def names(self, planned: Planned, domains: Mapping[str, Domain], scores: Scores, job: Job) -> tuple[list[str], str]:
        """Domains to measure that have evaluation rows, with a sentence on the choice.

        Raises:
            RunError: none of them has two.
        """
        found, sentence = chosen(self.loaded, self.folder, planned, scores, job)
        there = [name for name in found if len(self.rows(domains[name])) > 1]
        if not there:
            raise RunError(
                f"{self.loaded.where(('forecast', 'from'))}: forecast.from: none of the domains that a pilot would be "
                f"measured on ({', '.join(found)}) has two evaluation rows. Raise `split.evaluation`."
            )
        if len(there) < len(found):
            absent = ", ".join(name for name in found if name not in there)
            sentence += f"; not on {absent}, which has fewer than two evaluation rows"
        return there, sentence

    def measure(self, trained: Trained, training: str, domains: Mapping[str, Domain], scores: Scores, job: Job) -> None:
        """Measure what the pilot changed and write it down."""
        began = time.monotonic()
        beneath = self.loaded.folder(("model", "name"))
        spec = self.loaded.recipe.model.model_copy(update={"dtype": self.dtype})
        self.watcher.say(f"loading the pilot's model from {trained.folder}, to measure it")
        untrained = load_model(spec, folder=beneath)
        before = self.moved(untrained, untrained, domains)
        after = self.moved(load_trained(spec, trained.folder, folder=beneath), untrained, domains)
        del untrained
        give_back_memory()
        found = {name: compared(before[name], after[name]) for name in domains}
        write_pilot(
            Pilot(
                key=self.key(training, domains),
                training=training,
                chosen="auto" if self.loaded.recipe.forecast.pilot.domains == "auto" else "recipe",
                job=job,
                model=scores.model.hash,
                dtype=self.dtype,
                seconds={"training": trained.seconds, "measuring": time.monotonic() - began},
                domains=found,
            ),
            self.place,
        )

    def moved(self, model: Model, untrained: Model, domains: Mapping[str, Domain]) -> dict[str, dict[str, float]]:
        """Token KL of each evaluation row from the untrained model, in nats, by domain and row."""
        asked: dict[str, object] = {"measures": dict.fromkeys(domains, "behaviour"), "also": [], "rows": self.most_rows}
        found = evaluate(
            model,
            None,
            domains,
            spec=self.loaded.recipe.evaluate.model_copy(update=asked),
            folder=self.loaded.folder(("evaluate", "tasks")),
            watcher=self.watcher,
            untrained=None if model is untrained else untrained,
        )
        parts = {name: measures["behaviour"] for name, measures in found.domains.items()}
        return {name: dict(zip(part.rows, part.values["kl"], strict=True)) for name, part in parts.items()}


def compared(before: Mapping[str, float], after: Mapping[str, float]) -> PilotDomain:
    """What a pilot changed on the rows that both readings have; of a single row nothing is known of the error."""
    rows = [name for name in after if name in before]
    differences = np.array([after[name] - before[name] for name in rows])
    change = float(differences.mean())
    error = float(differences.std(ddof=1) / np.sqrt(len(rows))) if len(rows) > 1 else abs(change)
    return PilotDomain(change=change, error=error, rows=len(rows))
