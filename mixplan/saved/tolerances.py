"""Defines what plan.json and outcome.json say of tolerances: what a domain may lose, is expected to lose, and lost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from mixplan.saved.base_types import Interval, Saved

Verdict = Literal["pass", "fail", "undecided"]


class MayLose(Saved):
    """How much one measure of a domain may lose.

    Attributes:
        domain: Its name.
        amount: As it is written: 2.0 for 2 pp.
        unit: `pp`, `bits` or `nats`.
        measure: Of that unit, such as `choice`.
    """

    domain: str
    amount: float
    unit: Literal["pp", "bits", "nats"]
    measure: str

    @property
    def text(self) -> str:
        """As a recipe has it."""
        return f"{self.amount:g} {self.unit}"


class ExpectedLoss(MayLose):
    """What a plan expects of a tolerance; the last three are None where nothing earlier teaches it.

    Attributes:
        loss: Expected loss with the planned rows in the tolerance's unit, with the 95 % interval of what will be
            measured; a gain is below 0.
        breaks: Probability that more than the amount is measured to be lost, with the planned rows.
        breaks_without: The same without any extra rows.
    """

    loss: Interval | None
    breaks: float | None
    breaks_without: float | None


class Kept(Saved):
    """The smallest budget with which each tolerance that can be forecast is kept with a probability.

    Attributes:
        probability: Of each tolerance; they are not independent.
        budget: In the allocation's unit; None where no budget that was tried does it.
        short: Domains that break theirs at the largest budget, those that exceed it most first.
    """

    probability: float
    budget: int | None
    short: list[str]


class PlannedTolerances(Saved):
    """What a plan says of its tolerances.

    Attributes:
        expected: One entry for each, in the recipe's order.
        kept: By probability, smallest first; empty where nothing can be forecast.
        most: The largest budget that was tried: what pools and limits allow.
        rows_save: By unit, what is taken to halve a loss, in words; empty where nothing can be forecast.
        assumed: Units in which nothing that was measured says what rows save.
    """

    expected: list[ExpectedLoss]
    kept: list[Kept]
    most: int
    rows_save: dict[str, str]
    assumed: list[str]


class Held(MayLose):
    """What became of one tolerance.

    Attributes:
        verdict: `pass` where the loss's whole interval lies within the amount, `fail` where it lies beyond, else
            `undecided`.
        loss: What was lost in the tolerance's unit, with its 95 % interval; a gain is below 0; None where it was not
            measured.
        items: On so many items.
        reason: Why it is undecided, a sentence; None where it is not.
        rows: About how many evaluation rows would decide it, where the loss stays as measured; None where that cannot
            be said.
    """

    verdict: Verdict
    loss: Interval | None
    items: int
    reason: str | None = None
    rows: int | None = None


class Gate(Saved):
    """What became of all tolerances of a run, or of one mixture that was trained for comparison.

    Attributes:
        held: One entry for each, in the recipe's order.
        given: Where they stand: in the `plan`, or in the command that measured (`eval`).
        first: By domain, what this very model was held to when it was first measured, where that was something else.
    """

    held: list[Held]
    given: Literal["plan", "eval"] = "plan"
    first: dict[str, list[str]] | None = None

    @property
    def verdict(self) -> Verdict:
        """Of the whole: `fail` where one failed, else `undecided` where one is."""
        return worst(one.verdict for one in self.held)

    def of(self, verdict: Verdict) -> list[Held]:
        """The tolerances with a verdict."""
        return [one for one in self.held if one.verdict == verdict]

    def asked(self) -> dict[str, list[str]]:
        """By domain, what it was held to, in words."""
        return by_domain(self.held)

    def held_first(self) -> dict[str, list[str]]:
        """By domain, what this very model was held to when it was first measured."""
        return self.asked() if self.first is None else self.first


def by_domain(tolerances: Iterable[MayLose]) -> dict[str, list[str]]:
    """What each domain may lose, in words."""
    found: dict[str, list[str]] = {}
    for one in tolerances:
        found.setdefault(one.domain, []).append(one.text)
    return found


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of verdicts, `fail` before `undecided` before `pass`."""
    found = set(verdicts)
    return "fail" if "fail" in found else "undecided" if "undecided" in found else "pass"
