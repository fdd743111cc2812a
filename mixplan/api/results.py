"""Shows a planned and a trained run to Python: rows for data frames, the mixed data set, tables for notebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixplan.errors import RunError
from mixplan.saved import read_plan
from mixplan.saved.diff import Diff as SavedDiff
from mixplan.saved.outcome import Change
from mixplan.saved.outcome import Outcome as SavedOutcome
from mixplan.saved.plan import Plan as SavedPlan
from mixplan.saved.tolerances import Verdict

if TYPE_CHECKING:
    import datasets

TableRow = dict[str, Any]


@dataclass(frozen=True, repr=False)
class Plan:
    """A planned run.

    Attributes:
        folder: The run folder.
        saved: All that its plan.json holds.
    """

    folder: Path
    saved: SavedPlan

    @property
    def rows(self) -> dict[str, int]:
        """Extra rows by domain, in the recipe's order."""
        return dict(self.saved.allocation.rows)

    @property
    def ratios(self) -> dict[str, float]:
        """Shares of the mixture's rows, 0 to 1, of the target and of each domain."""
        return dict(self.saved.allocation.ratios)

    @property
    def warnings(self) -> list[str]:
        """What to know before trusting the plan, in whole sentences."""
        return list(self.saved.warnings)

    def scores(self) -> list[TableRow]:
        """List each domain's planning score with its 95 % interval, its rows and its ratio, for a data frame."""
        planned = self.saved.allocation
        return [
            {
                "domain": name,
                "score": (score := self.saved.score_of(name)).value,
                "low": score.low,
                "high": score.high,
                "rows": planned.rows[name],
                "ratio": planned.ratios[name],
            }
            for name in self.saved.domains
        ]

    def mixture(self) -> datasets.Dataset:
        """Open the mixed data set.

        Returns:
            Its rows in training order, with the columns that TRL reads, `domain`, `row_id` and `repeat`.

        Raises:
            RunError: the run folder holds none, or was planned again since, so that it holds another plan's.
        """
        place = self.folder / "mixture"
        if read_plan(self.folder).hashes["plan"] != self.saved.hashes["plan"]:
            raise RunError(
                f"{self.folder}: was planned again since this plan was read. Read it with "
                f"`mixplan.read_plan({str(self.folder)!r})`, or plan each budget in a folder of its own."
            )
        if not any(place.glob("*.parquet")):
            raise RunError(
                f"{place}: there is no mixture. Plan again with `mixplan plan {self.folder / 'recipe.yaml'}`."
            )
        from datasets import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars, load_dataset

        drawn = not are_progress_bars_disabled()
        disable_progress_bars()
        try:
            return load_dataset(str(place), split="train")
        finally:
            if drawn:
                enable_progress_bars()

    def __repr__(self) -> str:
        """Name the run and its rows in one line; `saved` holds thousands of figures."""
        return f"Plan({self.saved.name!r}, rows={self.rows}, folder={str(self.folder)!r})"

    def _repr_html_(self) -> str:
        """Show the scores and rows as a table in a notebook."""
        heads = {"domain": "domain", "score": self.saved.score_name, "rows": "rows", "ratio": "ratio"}
        lines = [{**row, "score": f"{row['score']:.4g}", "ratio": f"{row['ratio']:.1%}"} for row in self.scores()]
        return _table(f"Plan of {self.saved.name}", heads, lines, self.folder)


@dataclass(frozen=True, repr=False)
class Outcome:
    """A trained run, measured before and after.

    Attributes:
        folder: The run folder.
        saved: All that its outcome.json holds.
    """

    folder: Path
    saved: SavedOutcome

    @property
    def summary(self) -> list[str]:
        """What came out, in whole sentences."""
        return list(self.saved.summary)

    @property
    def verdict(self) -> Verdict | None:
        """What became of the tolerances: `pass`, `fail` or `undecided`; None where the recipe has none."""
        return self.saved.tolerances.verdict if self.saved.tolerances else None

    @cached_property
    def target(self) -> TableRow | None:
        """The target's headline change as `changes` lists them; None where nothing of it was measured."""
        return next((row for row in self.changes() if row["domain"] == "target"), None)

    def changes(self) -> list[TableRow]:
        """List the headline change of the target and of each domain with its 95 % interval, for a data frame."""
        named = {**self.saved.taught(), **self.saved.domains}
        return [_change(name, one.headline, one.change) for name, one in named.items() if one.change is not None]

    def __repr__(self) -> str:
        """Name the run and the changes of its headline measures in one line."""
        return f"Outcome({self.saved.name!r}, changes={_rounded(self.changes())}, folder={str(self.folder)!r})"

    def _repr_html_(self) -> str:
        """Show the changes as a table in a notebook."""
        return _changes_table(f"Outcome of {self.saved.name}", self.changes(), self.folder)


@dataclass(frozen=True, repr=False)
class Diff:
    """What a training changed, measured without a plan.

    Attributes:
        folder: Where diff.json and report.html are.
        saved: All that its diff.json holds.
    """

    folder: Path
    saved: SavedDiff

    @property
    def summary(self) -> list[str]:
        """What changed, in whole sentences."""
        return list(self.saved.summary)

    @property
    def warnings(self) -> list[str]:
        """What to know before trusting it, in whole sentences."""
        return list(self.saved.warnings)

    def changes(self) -> list[TableRow]:
        """List each domain's headline change with its 95 % interval and how far its features moved."""
        return [
            _change(name, one.headline, one.change) | {"shift": one.shift.total if one.shift else None}
            for name, one in self.saved.domains.items()
            if one.change is not None
        ]

    def features(self) -> list[TableRow]:
        """List the SAE features that moved most, with where they did; empty without an SAE."""
        kept = ("feature", "share", "domain", "domain_share", "before", "after", "silenced")
        return [
            {key: getattr(one, key) for key in kept}
            | {"contexts": [f"{c.before}[{c.token}]{c.after}" for c in one.contexts]}
            for one in self.saved.features
        ]

    def __repr__(self) -> str:
        """Name the two models and the changes of the domains' headline measures in one line."""
        models = f"{self.saved.base!r}, {self.saved.trained!r}"
        return f"Diff({models}, changes={_rounded(self.changes())}, folder={str(self.folder)!r})"

    def _repr_html_(self) -> str:
        """Show the changes as a table in a notebook."""
        return _changes_table(f"{self.saved.trained} against {self.saved.base}", self.changes(), self.folder)


def _rounded(changes: Sequence[TableRow]) -> dict[str, float]:
    """Each domain's change, to three digits."""
    return {row["domain"]: float(f"{row['change']:.3g}") for row in changes}


def _changes_table(caption: str, changes: Sequence[TableRow], folder: Path) -> str:
    heads = {name: name for name in ("domain", "measure", "before", "after", "change", "direction")}
    lines = [{**row, **{key: f"{row[key]:.4g}" for key in ("before", "after", "change")}} for row in changes]
    return _table(caption, heads, lines, folder)


def _change(name: str, measure: str | None, change: Change) -> TableRow:
    kept = ("before", "after", "change", "low", "high", "noise", "direction")
    return {"domain": name, "measure": measure, **{key: getattr(change, key) for key in kept}}


def _table(caption: str, heads: Mapping[str, str], lines: Sequence[TableRow], folder: Path) -> str:
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads.values())
    body = "".join("<tr>" + "".join(f"<td>{escape(str(row[key]))}</td>" for key in heads) + "</tr>" for row in lines)
    page = escape(str(folder / "report.html"), quote=True)
    return (
        f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        f'<p><a href="{page}">Report</a></p>'
    )
