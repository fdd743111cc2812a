"""Keeps scores by all that they were measured from; what is not kept is measured now, with a model loaded once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mixplan.domains import Domain
from mixplan.errors import RunError
from mixplan.plan.looks import DRAWS, LEAST_ROWS, LOOKS
from mixplan.reading.identity import scores_key
from mixplan.reading.progress import Watcher
from mixplan.reading.workers import Workers
from mixplan.recipe import LoadedRecipe
from mixplan.runs import cache_folder, canonical_json, store, unseal
from mixplan.saved.scores import Scores

if TYPE_CHECKING:
    from mixplan.plan.scores import Begun


@dataclass
class KeptScores:
    """Scores of one recipe.

    Attributes:
        loaded: The recipe.
        target: The opened target.
        domains: The opened domains.
        watcher: Told of progress.
        begun: Model, SAE and what may be read, once a look had to be measured.
    """

    loaded: LoadedRecipe
    target: Domain
    domains: Mapping[str, Domain]
    watcher: Watcher
    begun: Begun | None = None

    def at(self, looks: Mapping[str, int] | None) -> Scores:
        """Scores that are kept, or measured now and kept.

        Args:
            looks: Up to which look each is read; None where budgets of query tokens are given.
        """
        standing = self.standing(looks)
        if standing is not None:
            self.watcher.say("scores are reused from an earlier run; no model is loaded")
            return Scores.model_validate_json(standing)
        text = canonical_json(self.measured(looks).values())
        # The key is taken again: a first download has given the model a commit that it did not have before.
        store(self.place(looks), text.encode())
        # Read back, so that a plan's bytes do not tell whether its scores were measured or stood.
        return Scores.model_validate_json(text)

    def standing(self, looks: Mapping[str, int] | None) -> bytes | None:
        """Scores that are kept; of several processes all take what the first finds, and none reads on alone.

        Raises:
            RunError: the first finds some that this one does not.
        """
        place = self.place(looks)
        found = unseal(place)
        (stands,) = Workers.here().agreed(lambda: [int(found is not None)])
        if not stands:
            return None
        found = found or unseal(place)  # it may have come since
        if found is None:
            raise RunError(
                f"{place}: the first process finds scores there, and this one does not. Set MIXPLAN_CACHE to a folder "
                "that all processes share, and run the same command again."
            )
        return found

    def place(self, looks: Mapping[str, int] | None) -> Path:
        """Where scores are kept."""
        rule = None if looks is None else (dict(looks), LOOKS, LEAST_ROWS, DRAWS)
        return cache_folder() / "scores" / f"{scores_key(self.loaded, self.target, self.domains, rule)}.json"

    def measured(self, looks: Mapping[str, int] | None) -> Scores:
        """Scores measured now; what this imports loads torch, which a new budget does not need."""
        if self.loaded.recipe.model.sae_spec is None:
            from mixplan.plan.without_sae import measure_without_sae

            return measure_without_sae(self.loaded, self.target, self.domains, watcher=self.watcher)
        from mixplan.plan.scores import begin_reading, measure_scores, measured

        if looks is None:
            return measure_scores(self.loaded, self.target, self.domains, watcher=self.watcher)
        if self.begun is None:
            self.begun = begin_reading(self.loaded, self.target, self.domains, watcher=self.watcher)
        return measured(self.begun, looks=looks)
