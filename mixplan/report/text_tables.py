"""Tabulates a plan and its outcome in plain text for the terminal, the page and the model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mixplan.outcome.units import counted
from mixplan.report.measures import Quantity, forecast_line, quantity
from mixplan.report.text import number, whole
from mixplan.saved.arms import Arms, ArmsOver
from mixplan.saved.base_types import Interval
from mixplan.saved.outcome import Consumption, Domain, Judgement, Measured, Outcome
from mixplan.saved.plan import Plan

PREDICTORS = {
    "sts_icl": "STS_ICL",
    "sts_act": "STS_act",
    "preview_kl": "Preview KL",
    "behind_answers_raw": "Stream shift",
    "low_shift": "Low-shift features",
    "raw_icl": "Raw activations, ICL",
    "raw_act": "Raw activations, act",
    "total_shift": "Total shift",
    "outside_shift": "Outside drift dimensions",
}
"""What was computed in planning: the two scores, with or without an SAE, then the baselines they have to beat."""

MAIN = ("headline", "behaviour")
"""Measures whose judgement is drawn; every domain has both."""

GAP = 2
"""Columns of space between two of a table's columns."""


@dataclass(frozen=True)
class Sheet:
    """A table.

    Attributes:
        title: What it holds.
        heads: Its columns; the first names the line, the last holds words.
        rows: As many cells each as there are columns.
        need: For each column, 0 where it is always shown; where there is no room, the highest goes first.
        words: Whether the last column holds words, not numbers.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    need: tuple[int, ...]
    words: bool = False

    def within(self, width: int) -> Sheet:
        """Leave out the least needed columns until a terminal of this width shows the rest whole."""
        kept = list(range(len(self.heads)))
        while sum(map(self._width, kept)) + GAP * (len(kept) - 1) > width and any(self.need[i] for i in kept):
            kept.remove(max(kept, key=lambda i: (self.need[i], i)))
        return self._keep(kept)

    def _width(self, column: int) -> int:
        return max(len(self.heads[column]), *(len(row[column]) for row in self.rows))

    def filled(self) -> Sheet:
        """Leave out columns in which no line has anything."""
        kept = [i for i in range(len(self.heads)) if any(row[i] for row in self.rows)]
        return self._keep(kept)

    def without(self, head: str) -> Sheet:
        """Leave out a column."""
        return self._keep([i for i, name in enumerate(self.heads) if name != head])

    def _keep(self, kept: Sequence[int]) -> Sheet:
        rows = tuple(tuple(row[i] for i in kept) for row in self.rows)
        heads, need = tuple(self.heads[i] for i in kept), tuple(self.need[i] for i in kept)
        return Sheet(self.title, heads, rows, need, words=self.words and len(self.heads) - 1 in kept)


def changes(plan: Plan, outcome: Outcome) -> Sheet:
    """Predicted and measured of the target and of each domain, those that lost first."""
    heads = ("domain", plan.score_name, "expected", "before", "after", "change", "95 %", "noise", "forecast", "verdict")
    lines = [_change_row(name, measured, plan) for name, measured in outcome.taught().items()]
    lines += [_change_row(name, outcome.domains[name], plan) for name in lost_first(plan, outcome)]
    need = (0, 6, 8, 3, 4, 0, 2, 7, 5, 1)
    return Sheet("Before and after", heads, tuple(lines), need, words=True).filled()


def _change_row(name: str, measured: Measured, plan: Plan) -> tuple[str, ...]:
    score = number(plan.score_of(name).value) if isinstance(measured, Domain) and name in plan.domains else ""
    change, key = measured.change, measured.quantity
    if change is None or key is None:
        return (name, score, "", "", "", "", "", "", "", "not measured")
    unit, expected = quantity(key), measured.expected if isinstance(measured, Domain) else None
    outside = measured.outside_forecast if isinstance(measured, Domain) else None
    return (
        name,
        score,
        forecast_line(key, expected),
        unit.value(change.before),
        unit.value(change.after),
        unit.change(change.change),
        unit.bounds(change.low, change.high),
        unit.noise(change.noise),
        "" if outside is None else "missed" if outside else "held",
        change.direction,
    )


def order(plan: Plan, outcome: Outcome) -> list[str]:
    """The outcome's domains in the plan's order; any that the plan lacks after them."""
    planned = [name for name in plan.order() if name in outcome.domains]
    return [*planned, *(name for name in outcome.domains if name not in plan.domains)]


def lost_first(plan: Plan, outcome: Outcome) -> list[str]:
    """The outcome's domains: those that lost, most first, then the rest in the plan's order."""
    planned = order(plan, outcome)
    lost = [name for name in planned if (change := outcome.domains[name].change) and change.direction == "loss"]
    sizes = {name: abs(change.change) for name in lost if (change := outcome.domains[name].change)}
    return sorted(planned, key=lambda name: (name not in sizes, -sizes.get(name, 0.0)))


def judgement(outcome: Outcome) -> Sheet:
    """How each predictor went with the size of the changes, the two scores first."""
    heads = ("predictor", "of", "Pearson", "95 %", "leaving one out", "Spearman", "95 %", "R²", "domains")
    need = (0, 3, 0, 1, 6, 4, 5, 2, 7)
    main = [line for line in judged(outcome) if line.measure in MAIN]
    lines = tuple(_judgement_row(line) for line in main or judged(outcome))
    return Sheet("Predicted against measured", heads, lines, need)


def judged(outcome: Outcome) -> list[Judgement]:
    """The judgement's lines: by measure in their saved order, and within one the scores before the baselines.

    Measures in which no domain changed beyond noise are left out: their correlations are those of noise.
    """
    measures = list(dict.fromkeys((line.measure, line.quantity) for line in outcome.judgement))
    ranks = {name: rank for rank, name in enumerate(PREDICTORS)}
    key = {pair: rank for rank, pair in enumerate(measures)}
    return sorted(
        (line for line in outcome.judgement if line.changed != 0),
        key=lambda line: (key[(line.measure, line.quantity)], ranks.get(line.predictor, len(ranks)), line.predictor),
    )


def _judgement_row(line: Judgement) -> tuple[str, ...]:
    return (
        PREDICTORS.get(line.predictor, line.predictor),
        of(line),
        figure(line.pearson),
        between(line.pearson_low, line.pearson_high),
        between(*(line.pearson_leave_one_out or (None, None))),
        figure(line.spearman),
        between(line.spearman_low, line.spearman_high),
        figure(line.r2),
        whole(line.domains),
    )


def of(line: Judgement) -> str:
    """What a judgement is of: the headline measures together, or one measure's quantity."""
    return "headline" if line.measure == "headline" else f"{line.measure}: {line.quantity}"


def figure(value: float | None) -> str:
    """Write a correlation."""
    return "not defined" if value is None else f"{value:.2f}"


def between(low: float | None, high: float | None) -> str:
    """Write a correlation's interval; empty where there is none."""
    return "" if low is None or high is None else f"[{low:.2f}, {high:.2f}]"


def consumption(outcome: Outcome) -> Sheet:
    """What the optimiser read of each domain, beside the plan."""
    heads = ("domain", "planned rows", "rows read", "different", "trainable tokens", "truncated", "dropped")
    need = (0, 1, 0, 4, 0, 2, 3)
    consumed = outcome.training.consumption if outcome.training else {}
    lines = tuple((name, *read_counts(counts)) for name, counts in consumed.items())
    return Sheet("What the optimiser read", heads, lines, need).filled()


def read_counts(read: Consumption) -> tuple[str, ...]:
    """Planned rows, rows read, different ones, trainable tokens, truncated and dropped rows; empty where not known."""
    counts = (
        read.planned_rows,
        read.rows,
        read.distinct_rows,
        read.trainable_tokens,
        read.truncated_rows,
        read.dropped_rows,
    )
    return tuple("" if count is None else whole(count) for count in counts)


def arms(arms: Arms) -> Sheet:
    """Each arm's changes and how it did against the baseline."""
    unit = quantity(arms.quantity)
    heads = (
        "arm",
        "target",
        "95 %",
        "mean domain",
        "95 %",
        "worst domain",
        f"mean - {arms.baseline}",
        "95 %",
        "tolerances",
        "verdict",
    )
    need = (0, 0, 6, 0, 5, 7, 2, 3, 4, 1)
    lines = []
    for name, arm in arms.arms.items():
        worst = f"{unit.signed(arm.worst.value)} {arm.worst_domain}" if arm.worst else ""
        verdict = arm.verdict or ("baseline" if name == arms.baseline else "not compared")
        target = _amount(arm.target, quantity(arm.target_quantity or arms.quantity))
        held = arm.tolerances.verdict if arm.tolerances else ""
        lines.append((name, *target, *_amount(arm.mean, unit), worst, *_amount(arm.against, unit), held, verdict))
    laid = Sheet(
        f"Arms over {counted(arms.domains, 'domain')}, {counted(len(arms.seeds), 'seed')}",
        heads,
        tuple(lines),
        need,
        words=True,
    )
    return laid if any(arm.tolerances for arm in arms.arms.values()) else laid.without("tolerances")


def pairs(arms: ArmsOver) -> Sheet:
    """Every pair of arms by the mean over domains."""
    unit = quantity(arms.quantity)
    heads = ("arm", "against", f"difference in {unit.subject}", "95 %", "verdict")
    lines = tuple((one.arm, one.against, *_amount(one.difference, unit), one.verdict) for one in arms.pairs)
    return Sheet("Every pair of arms", heads, lines, (0,) * len(heads), words=True)


def _amount(interval: Interval | None, unit: Quantity) -> tuple[str, str]:
    return (unit.change(interval.value), unit.bounds(interval.low, interval.high)) if interval else ("", "")
