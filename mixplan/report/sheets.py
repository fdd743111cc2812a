"""A plan and its outcome in, tables of plain text out, which the terminal, the page and the model card lay out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mixplan.report.measures import WORDS, Quantity, forecast_line, quantity
from mixplan.report.outcome import Arms, Domain, Drift, Judgement, Measured, Outcome
from mixplan.report.plan import Interval, Plan
from mixplan.report.text import number, plain, whole

PREDICTORS = {
    "sts_icl": "STS_ICL",
    "sts_act": "STS_act",
    "low_shift": "Low-shift features",
    "raw_icl": "Raw activations, ICL",
    "raw_act": "Raw activations, act",
    "total_shift": "Total shift",
    "outside_shift": "Outside the drift dimensions",
}
"""What was computed in planning: the two scores, then the baselines they have to beat."""

ALWAYS = 0


@dataclass(frozen=True)
class Sheet:
    """A table.

    Attributes:
        title: What it holds.
        heads: Its columns; the first names the line, the last holds words.
        rows: As many cells each as there are columns.
        least: For each column, the terminal's width below which it is left to the page.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    least: tuple[int, ...]

    def within(self, width: int) -> Sheet:
        """Keep the columns that a terminal of this width shows."""
        kept = [i for i, least in enumerate(self.least) if least <= width]
        rows = tuple(tuple(row[i] for i in kept) for row in self.rows)
        return Sheet(self.title, tuple(self.heads[i] for i in kept), rows, tuple(self.least[i] for i in kept))

    def filled(self) -> Sheet:
        """Leave out columns in which no line has anything."""
        kept = [i for i in range(len(self.heads)) if any(row[i] for row in self.rows)]
        rows = tuple(tuple(row[i] for i in kept) for row in self.rows)
        return Sheet(self.title, tuple(self.heads[i] for i in kept), rows, tuple(self.least[i] for i in kept))


def changes(plan: Plan, outcome: Outcome) -> Sheet:
    """Predicted and measured of each domain, highest planning score first; the target last."""
    heads = ("domain", plan.score_name, "forecast", "before", "after", "change", "95 %", "noise", "verdict")
    lines = [_change_row(name, outcome.domains[name], plan) for name in order(plan, outcome)]
    lines.append(_change_row("target", outcome.target, plan))
    least = (ALWAYS, 60, 110, 90, 90, ALWAYS, 50, 72, 40)
    return Sheet("Before and after", heads, tuple(lines), least).filled()


def _change_row(name: str, measured: Measured, plan: Plan) -> tuple[str, ...]:
    score = number(plan.score_of(name).value) if isinstance(measured, Domain) and name in plan.domains else ""
    change, key = measured.change, measured.quantity
    if change is None or key is None:
        return (name, score, "", "", "", "not measured", "", "", "")
    unit, expected = quantity(key), measured.expected if isinstance(measured, Domain) else None
    outside = isinstance(measured, Domain) and measured.outside_forecast
    return (
        name,
        score,
        forecast_line(key, expected),
        unit.value(change.before),
        unit.value(change.after),
        unit.change(change.change),
        unit.bounds(change.low, change.high),
        unit.noise(change.noise),
        WORDS[change.direction] + (", outside its forecast" if outside else ""),
    )


def order(plan: Plan, outcome: Outcome) -> list[str]:
    """The outcome's domains in the plan's order; any that the plan lacks after them."""
    planned = [name for name in plan.order() if name in outcome.domains]
    return [*planned, *(name for name in outcome.domains if name not in plan.domains)]


def judgement(outcome: Outcome) -> Sheet:
    """How each predictor went with the size of the changes, the two scores first."""
    heads = ("predictor", "of", "Pearson", "95 %", "leaving one out", "Spearman", "95 %", "R²", "domains")
    least = (ALWAYS, 60, ALWAYS, 50, 110, 90, 100, 80, 70)
    lines = tuple(_judgement_row(line) for line in judged(outcome))
    return Sheet("Predicted against measured", heads, lines, least)


def judged(outcome: Outcome) -> list[Judgement]:
    """The judgement's lines: by measure in their saved order, and within one the scores before the baselines."""
    measures = list(dict.fromkeys((line.measure, line.quantity) for line in outcome.judgement))
    ranks = {name: rank for rank, name in enumerate(PREDICTORS)}
    key = {pair: rank for rank, pair in enumerate(measures)}
    return sorted(
        outcome.judgement,
        key=lambda line: (key[(line.measure, line.quantity)], ranks.get(line.predictor, len(ranks)), line.predictor),
    )


def _judgement_row(line: Judgement) -> tuple[str, ...]:
    return (
        PREDICTORS.get(line.predictor, line.predictor),
        of(line),
        _figure(line.pearson),
        _between(line.pearson_low, line.pearson_high),
        _between(*(line.pearson_leave_one_out or (None, None))),
        _figure(line.spearman),
        _between(line.spearman_low, line.spearman_high),
        _figure(line.r2),
        whole(line.domains),
    )


def of(line: Judgement) -> str:
    """What a judgement is of: the headline measures together, or one measure's quantity."""
    return "headline" if line.measure == "headline" else f"{line.measure}: {line.quantity}"


def _figure(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.2f}"


def _between(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"[{low:.2f}, {high:.2f}]"


def consumption(outcome: Outcome) -> Sheet:
    """What the trainer read of each domain, beside the plan."""
    heads = ("domain", "planned rows", "rows read", "trainable tokens", "truncated", "dropped")
    least = (ALWAYS, 50, ALWAYS, ALWAYS, 72, 80)
    lines = tuple(
        (
            name,
            *map(whole, (read.planned_rows, read.rows, read.trainable_tokens, read.truncated_rows, read.dropped_rows)),
        )
        for name, read in outcome.training.consumption.items()
    )
    return Sheet("What the trainer read", heads, lines, least)


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
        "verdict",
    )
    least = (ALWAYS, ALWAYS, 110, ALWAYS, 100, 120, 60, 72, ALWAYS)
    lines = []
    for name, arm in arms.arms.items():
        worst = f"{unit.signed(arm.worst.value)} {arm.worst_domain}" if arm.worst else ""
        verdict = arm.verdict or ("baseline" if name == arms.baseline else "not compared")
        target = _amount(arm.target, quantity(arm.target_quantity or arms.quantity))
        lines.append((name, *target, *_amount(arm.mean, unit), worst, *_amount(arm.against, unit), verdict))
    return Sheet(f"Arms over {arms.domains} domains, {len(arms.seeds)} seeds", heads, tuple(lines), least)


def _amount(interval: Interval | None, unit: Quantity) -> tuple[str, str]:
    return (unit.change(interval.value), unit.bounds(interval.low, interval.high)) if interval else ("", "")


def training_line(outcome: Outcome) -> str:
    """Summarise the job: method, steps, time, and where loss and reward began and ended."""
    job = outcome.training
    parts = [f"{job.method.upper()}, {whole(job.steps)} optimiser steps in {duration(job.seconds)}"]
    for key in ("loss", "reward"):
        if curve := job.curve(key):
            parts.append(f"{key} from {number(curve[0][1])} to {number(curve[-1][1])}")
    return "; ".join(parts) + "."


def drift_lines(drift: Drift) -> list[str]:
    """Say how many of the predicted drift dimensions training moved, against chance."""
    lines = [
        f"{whole(drift.overlap)} of the {whole(drift.of)} predicted drift dimensions are among the {whole(drift.of)} "
        f"that training moved most; chance gives {plain(drift.chance)} [{plain(drift.low)}, {plain(drift.high)}]."
    ]
    bounded = drift.raw_low is not None and drift.raw_high is not None
    between = f" [{plain(drift.raw_low or 0)}, {plain(drift.raw_high or 0)}]" if bounded else ""
    if drift.raw_overlap is not None and drift.raw_of is not None and drift.raw_chance is not None:
        lines.append(
            f"Of raw activations, {whole(drift.raw_overlap)} of {whole(drift.raw_of)}; chance gives "
            f"{plain(drift.raw_chance)}{between}."
        )
    return lines


def outside_line(outcome: Outcome) -> str | None:
    """Say plainly how many domains moved outside their forecast; None where none did or nothing was forecast."""
    judged = [domain for domain in outcome.domains.values() if domain.outside_forecast is not None]
    if not (names := outcome.outside()):
        return None
    return f"{len(names)} of {len(judged)} domains moved outside their forecast: {', '.join(names)}."


def summary(outcome: Outcome) -> list[str]:
    """The outcome's own sentences, less the one that `wrong` says with names."""
    outside = outside_line(outcome) or ""
    return [sentence for sentence in outcome.summary if not outside.startswith(sentence.removesuffix("."))]


def wrong(plan: Plan, outcome: Outcome) -> list[str]:
    """What a reader should know before the answer: misses, the outcome's warnings, the plan's."""
    outside = outside_line(outcome)
    return list(dict.fromkeys([*([outside] if outside else []), *outcome.warnings, *plan.notices()]))


def duration(seconds: float) -> str:
    """Write a time in the unit that suits it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def verdicts(outcome: Outcome) -> dict[str, int]:
    """Count the domains by the saved direction of their headline change."""
    found: Sequence[str] = [domain.change.direction for domain in outcome.domains.values() if domain.change]
    return {word: found.count(direction) for direction, word in WORDS.items() if direction in found}
