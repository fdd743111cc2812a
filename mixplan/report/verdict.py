"""Opens a plan's page: what was planned for which model, what it is expected to bring, and how far to trust that."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from mixplan.embedded import MODEL_NAME
from mixplan.outcome.units import counted
from mixplan.report import spreads
from mixplan.report.markup import Html, tag
from mixplan.report.pilot import grounds_of
from mixplan.report.tables import breakable
from mixplan.report.text import number, percent, whole
from mixplan.report.tolerances import planned_fact
from mixplan.saved.allocation import Spread, Spreads
from mixplan.saved.base_types import Interval
from mixplan.saved.plan import Allocation, Plan
from mixplan.saved.total import TAKEN

EXPOSED = 3
"""Domains named as the most exposed."""


def top(plan: Plan) -> Html:
    """Draw the page's header: what this is, in one line, then four facts, then what was read and how to repeat it.

    Args:
        plan: The saved plan.
    """
    facts = [
        tag("div", tag("dt", name), tag("dd", tag("b", *breakable(value)), *rest)) for name, value, *rest in strip(plan)
    ]
    saved = saving_sentence(plan)
    return tag(
        "header",
        tag("p", "Mixture plan", class_="kicker"),
        tag("h1", plan.name),
        tag("p", headline(plan), class_="lead"),
        tag("p", saved, class_="lead") if saved else None,
        *(tag("p", sentence, class_="lead") for sentence in spreads.grounds(plan)),
        tag("dl", *facts, class_="facts"),
        tag("p", made_of(plan, plan.created), class_="quiet"),
        tag("p", "To plan again in this folder: ", tag("code", "mixplan plan recipe.yaml --run ."), class_="quiet"),
    )


def headline(plan: Plan) -> str:
    """Say in one sentence how many rows go where."""
    allocation = plan.allocation
    if allocation.placement is not None and evenly(allocation):
        return f"{spread_over(plan)} {each_gets(allocation)}"
    most = sorted(plan.domains, key=lambda name: (-allocation.rows[name], name))[:EXPOSED]
    leading = ", ".join(f"{name} {whole(allocation.rows[name])}" for name in most if allocation.rows[name])
    return spread_over(plan) + (f" The most rows: {leading}." if leading else "")


def spread_over(plan: Plan) -> str:
    """Say how many rows are spread over how many domains, of how many, beside how many of the target."""
    beside = f" beside {counted(plan.mixture.target_rows, 'target row')}" if plan.mixture else ""
    extra = counted(plan.allocation.budget, f"extra {plan.allocation.unit.removesuffix('s')}")
    given = sum(rows > 0 for rows in plan.allocation.rows.values())
    part = f"{given} of " if 0 < given < len(plan.domains) else ""
    return f"{extra} over {part}{counted(len(plan.domains), 'domain')}{beside}."


def evenly(allocation: Allocation) -> bool:
    """Whether several domains get as many rows each, but for one that does not divide."""
    rows = allocation.rows.values()
    return len(rows) > 1 and max(rows) > 0 and max(rows) - min(rows) <= 1


def each_gets(allocation: Allocation) -> str:
    """Say how many rows each domain gets of an even spread."""
    least, most = min(allocation.rows.values()), max(allocation.rows.values())
    return f"Each domain gets {least if least == most else f'{least} or {most}'}."


def removed(plan: Plan) -> tuple[float, float | None] | None:
    """The parts of all domains' expected loss that the plan and an even spread remove, 0 to 1.

    Returns:
        The plan's and the even spread's, None where they were not compared alike; None where no loss is expected.
    """
    allocation = plan.allocation
    planned_by = [plan.expected_of(name) or plan.score_of(name) for name in plan.domains]
    cautious = plan.recipe is not None and plan.recipe.allocate.cautious
    values = [one.high if cautious else one.value if isinstance(one, Interval) else one.change for one in planned_by]
    before = sum(values)
    if not before > 0:
        return None
    mine = 1 - allocation.expected_loss / before
    if cautious or allocation.against_uniform is None or allocation.against_uniform.together.value >= 1:
        return mine, None  # a cautious plan's loss is of upper ends, what it saves beside an even spread of the scores
    even = 1 - allocation.expected_loss / (1 - allocation.against_uniform.together.value) / before
    return mine, even


def saving_sentence(plan: Plan) -> str | None:
    """Say what the rows are expected to remove of all domains' loss, what an even spread would, and if that is assumed.

    Nothing is said where no row is planned.
    """
    found = removed(plan)
    if found is None or not plan.allocation.budget or not any(plan.allocation.rows.values()):
        return None
    end = assumed(plan)
    if plan.allocation.placement is not None and (beside := plan.allocation.spreads) is not None:
        return f"{amount(plan.allocation)} expected to remove {removed_by_three(beside)}{end}."
    mine, even = found
    rows = f"{amount(plan.allocation)} expected to remove {percent(mine)} of the loss"
    beside_even = "" if even is None else f", an even spread {percent(even)}"
    return f"{rows}{beside_even}{end}."


def removed_by_three(spreads: Spreads) -> str:
    """What the plan, an even spread and the proportional rule are expected to remove, with the plan's interval."""
    reach = removed_between(spreads.planned)
    decimals = 1 if reach is None else 0
    three = (spreads.planned, spreads.even, spreads.proportional)
    planned, alike, rule = (percent(1 - one.left, decimals) for one in three)
    unmeasured = " (so few or many rows were not measured)" if spreads.measured is False else ""
    found = f"{planned}{reach or ''} of the loss{unmeasured}"
    if planned == alike == rule:
        return f"{found}, and as much spread evenly or in proportion"
    return f"{found}, an even spread {alike}, the proportional rule {rule}"


def removed_between(spread: Spread) -> str | None:
    """The interval of what a spread removes, behind a space; None where it is not known."""
    if spread.low is None or spread.high is None:
        return None
    return f" [{percent(1 - spread.high, 0)}, {percent(1 - spread.low, 0)}]"


def assumed(plan: Plan) -> str:
    """Say behind what rows are expected to remove that it was not measured what they save; nothing where it was."""
    if (said := next((sentence for sentence in plan.forecast.evidence if TAKEN in sentence), None)) is not None:
        return f": that assumes that {said.partition(TAKEN)[0]}rows halve a domain's loss"
    allocation, spec = plan.allocation, plan.recipe.allocate if plan.recipe is not None else None
    if spec is None or spec.half_rows is None or allocation.objective == "evidence" or allocation.total is not None:
        return ""
    return f": that assumes that {spec.half_rows:g} {allocation.unit} of its own halve a domain's loss"


def amount(allocation: Allocation) -> str:
    """The budget as the subject of a sentence: `1 row is`, `60 rows are`."""
    verb = "is" if allocation.budget == 1 else "are"
    return f"{counted(allocation.budget, allocation.unit.removesuffix('s'))} {verb}"


def strip(plan: Plan) -> Iterator[tuple[str, str, *tuple[Html, ...]]]:
    """The facts that a reader asks for first: what is exposed, added and saved, and how far to trust it.

    What is expected of tolerances stands among them where there are any.

    Yields:
        A name, its value, and what is said beneath it.
    """
    allocation, order = plan.allocation, plan.order()
    changes = plan.forecast.planned_by == "behaviour"
    by = "by expected change of behaviour" if changes else f"by {plan.score_name}"
    yield "Most exposed", order[0], small(f"then {', '.join(order[1:EXPOSED])}; {by}" if len(order) > 1 else by)
    share = sum(allocation.ratios[name] for name in plan.domains)
    yield (
        "Added",
        counted(allocation.budget, allocation.unit.removesuffix("s")),
        small(f"{percent(share)} of the mixture's rows"),
    )
    against, placement = allocation.against_uniform, allocation.placement
    if placement is not None and allocation.spreads is not None:
        moved, by = spreads.where(placement)
        yield "Where rows go", moved, small(by)
    elif against is None:
        yield "Against an even spread", "not compared", small("there is nothing to spread in two ways")
    else:
        one = against.together
        yield (
            "Against an even spread",
            f"{percent(abs(one.value))} {'less' if one.value >= 0 else 'more'} loss",
            small(
                f"95 % interval of what it saves [{percent(one.low)}, {percent(one.high)}]"
                + ("; an even spread may do as well" if one.low <= 0 else "")
            ),
        )
    stability = plan.ranking.stability
    steady = "not defined" if stability is None else number(stability, 2)
    if (held := planned_fact(plan)) is not None:
        yield "Tolerances", held[0], small(held[1])
    health = "no SAE was read"
    if plan.sae is not None:
        health = "the SAE fits these tokens" if plan.sae.health.fits else "the SAE does not fit these tokens"
    yield (
        "Rests on",
        grounds_of(plan),
        small(f"stability of the ranking {steady}{' of 1' if stability is not None else ''}; {health}"),
    )


def made_of(plan: Plan, created: str | None) -> str:
    """Say which model, SAE and target were read, and when that was.

    Args:
        plan: The saved plan.
        created: When the plan, or its outcome, was made, as ISO 8601; None where it is not recorded.
    """
    where = plan.recipe.target.where if plan.recipe is not None else None
    data = f"{where or 'not recorded'}, {counted(plan.target.read_rows, 'row')} read"
    made = f" Made {day(created)}." if created else ""
    model = f"{MODEL_NAME} (embedded)" if plan.model.name == "embedded" else plan.model.name
    read = f"read by SAE {plan.sae.name}" if plan.sae else "read without an SAE"
    return f"Model {model}, {read}. Target data {data}.{made}"


def day(created: str) -> str:
    """Write a time to the minute, such as `2026-11-29 01:13 UTC`; one of another form stays as it is."""
    try:
        return f"{datetime.fromisoformat(created).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return created


def small(text: str) -> Html:
    """Set a remark beneath a fact."""
    return tag("span", text, class_="quiet")
