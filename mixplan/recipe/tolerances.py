"""Reads how much each domain may lose, and finds the measure of the domain that each amount's unit belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from mixplan.recipe.domain_spec import DomainSpec
from mixplan.recipe.lines import KeyPath
from mixplan.recipe.measures import measures_taken
from mixplan.recipe.spec import EvaluateSpec, Measure, Recipe
from mixplan.recipe.suggest import did_you_mean

EVERY = "all"
"""The key under which stands what every domain may lose that has no entry of its own."""
Given = str | list[str] | None
"""What may stand at one key: an amount, several, or nothing, which lets a domain lose anything."""
AMOUNT = re.compile(r"(\d{1,9}(?:\.\d{1,9})?) ?([A-Za-z%]+)")
EXPECTED = (
    "an amount with its unit: `2 pp` (points of accuracy, at most 100), `0.05 bits` (per byte of the reference "
    "answers) or `0.1 nats` (per token of behaviour)"
)
NAMED = 3
"""Domains named in one message."""


SHARES = ("correct", "score", "acc", "acc_norm", "exact_match", "accuracy")
"""Quantities that are the share of items answered rightly, metrics of other harnesses' tasks among them."""


@dataclass(frozen=True)
class Unit:
    """A unit that a tolerance may have.

    Attributes:
        of: What it counts, in words.
        measures: Measures whose main quantity has it.
        scale: What such a quantity is multiplied by.
        most: The largest amount that means anything; None without one.
    """

    of: str
    measures: tuple[Measure, ...]
    scale: float = 1.0
    most: float | None = None


UNITS = {
    "pp": Unit("percentage points of accuracy", ("choice", "exact", "lm_eval"), 100.0, 100.0),
    "bits": Unit("bits per byte of the reference answers", ("likelihood",)),
    "nats": Unit("nats per token between the trained and the untrained model's answers", ("behaviour",)),
}


@dataclass(frozen=True)
class Tolerance:
    """How much one measure of a domain may lose.

    Attributes:
        amount: In the unit as it is written: 2.0 for `2 pp`.
        unit: One of `UNITS`.
        measure: The domain's measure of that unit.
    """

    amount: float
    unit: str
    measure: str

    @property
    def text(self) -> str:
        """As a recipe has it."""
        return f"{self.amount:g} {self.unit}"

    @property
    def value(self) -> float:
        """The amount as the measure's main quantity is saved, points as shares."""
        return self.amount / UNITS[self.unit].scale


def tolerances_of(recipe: Recipe) -> dict[str, list[Tolerance]]:
    """What each domain may lose, domains that may lose anything left out.

    Of what `all` may lose, a domain without an entry of its own has those whose unit fits a measure of it.

    Args:
        recipe: A valid one.
    """
    if not recipe.tolerances:
        return {}
    found = {}
    for name, domain in recipe.domains.items():
        taken = measures_taken(name, domain, recipe.evaluate)
        amounts = map(parsed, listed(recipe.tolerances.get(name, recipe.tolerances.get(EVERY))))
        tolerances = [
            Tolerance(*amount, measure)
            for amount in amounts
            if amount is not None and (measure := measure_in(amount[1], taken)) is not None
        ]
        if tolerances:
            found[name] = tolerances
    return found


def measure_in(unit: str, taken: Sequence[Measure]) -> Measure | None:
    """The first measure of a unit among those that a domain takes, its headline first."""
    return next((measure for measure in taken if unit in UNITS and measure in UNITS[unit].measures), None)


def listed(given: Given) -> list[str]:
    """What stands at one key, as a list."""
    return [] if given is None else [given] if isinstance(given, str) else given


def is_given(value: object) -> TypeGuard[Given]:
    """Whether a value is of a kind that may stand at a key."""
    several = isinstance(value, list) and value != [] and all(isinstance(item, str) for item in value)
    return value is None or isinstance(value, str) or several


def parsed(text: str) -> tuple[float, str] | None:
    """An amount with its unit; None where the text is none."""
    found = AMOUNT.fullmatch(text.strip())
    if found is None or found[2] not in UNITS:
        return None
    amount, most = float(found[1]), UNITS[found[2]].most
    return None if most is not None and amount > most else (amount, found[2])


def wrong_tolerances(
    tolerances: Mapping[str, Given], domains: Mapping[str, DomainSpec | None], evaluate: EvaluateSpec
) -> Iterator[tuple[KeyPath, str]]:
    """Find amounts that are none, that no measure fits, or that are no domain's.

    Args:
        tolerances: The recipe's section.
        domains: Sections of the domains, None for one that its own model refuses.
        evaluate: The recipe's section.

    Yields:
        The key's path and what is wrong there.
    """
    for name, given in tolerances.items():
        path = ("tolerances", name)
        amounts = [parsed(text) for text in listed(given)]
        units = [amount[1] for amount in amounts if amount is not None]
        wrong = [text for text, amount in zip(listed(given), amounts, strict=True) if amount is None]
        for text in wrong:
            yield path, f"found the text {text[:40]!r}, expected {EXPECTED}."
        if len(set(units)) < len(units):
            yield path, "one unit stands here twice. Give each once."
        elif name == EVERY and EVERY in domains:
            yield path, "a domain is named `all` too. Rename it, or give each domain an amount of its own."
        elif name == EVERY and not wrong:
            yield from unfit_for_all(units, tolerances, domains, evaluate)
        elif name != EVERY and domains and name not in domains:
            yield path, not_a_domain(name, [*domains, EVERY])
        elif (domain := domains.get(name)) is not None:
            for unit in units:
                if measure_in(unit, taken := measures_taken(name, domain, evaluate)) is None:
                    yield path, unfit([unit], name, domain, taken)


def not_a_domain(name: str, known: Sequence[str]) -> str:
    """Why a name has no tolerance."""
    if name == "target" or name.startswith("target."):
        return (
            "only domains have tolerances: the target is there to gain, and its change is reported anyway. Remove it."
        )
    return f"there is no domain {name!r}.{did_you_mean(name, known)}"


def unfit_for_all(
    units: Sequence[str],
    tolerances: Mapping[str, Given],
    domains: Mapping[str, DomainSpec | None],
    evaluate: EvaluateSpec,
) -> Iterator[tuple[KeyPath, str]]:
    """Find domains that none of the units of `all` fits, and tell of the first."""
    found = {}
    for name, domain in domains.items():
        if name not in tolerances and domain is not None:
            taken = measures_taken(name, domain, evaluate)
            if units and all(measure_in(unit, taken) is None for unit in units):
                found[name] = unfit(units, name, domain, taken)
    if found:
        first, *others = found
        more = f" Nor does it fit {', '.join(others[:NAMED])}" if others else ""
        more += f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
        own = f" Or give '{first}' an entry of its own; `{first}: null` lets it lose anything."
        yield ("tolerances", EVERY), f"{found[first]}{own}{more + '.' if more else ''}"


def unfit(units: Sequence[str], name: str, domain: DomainSpec, taken: Sequence[Measure]) -> str:
    """That no measure of a domain has these units, and what would work."""
    one = " or ".join(f"`{unit}`" for unit in units)
    works = [unit for unit in UNITS if measure_in(unit, taken) is not None]
    could = [measure for unit in units for measure in UNITS[unit].measures if could_take(measure, domain)]
    add = f", or add `{could[0]}` to `evaluate.also`" if could else ""
    return (
        f"no measure of '{name}' is in {one}: it is measured by {', '.join(taken)}. "
        f"Write the amount in {' or '.join(f'`{unit}`' for unit in works)}{add}."
    )


def could_take(measure: Measure, domain: DomainSpec) -> bool:
    """Whether a domain could be measured so once `evaluate.also` asks for it."""
    fits = {"choice": domain.format == "choice", "exact": domain.grader != "none", "lm_eval": False}
    return fits.get(measure, True)
