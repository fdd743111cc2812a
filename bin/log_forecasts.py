"""Prints how far forecasts err in targets left out: factors, logarithms, and what may say how strong a job is.

    python bin/log_forecasts.py > recipes/studies/smollm2-135m/logarithms/RESULTS.md

Each target's movement (token KL, mean over seeds) is forecast from the other targets', every choice made without it.
The forms, the grid of the penalty (`mixplan.forecast.log_ridge_choices`) and the covariates were fixed before any of
them was held against these targets. surprise.json in that folder is by `bin/target_surprise.py`. docs/evidence.md has
both tables too; brackets are 95 % t intervals over targets, paired.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from mixplan.forecast.factors import Changes, left_out_error, predict
from mixplan.forecast.log_ridge import Form, Logs
from mixplan.forecast.log_ridge_choices import learn_logs, left_out_logs, level_helps
from mixplan.forecast.ways import Errors, left_out_by_logs, root, squares

Doubles = npt.NDArray[np.float64]

STUDY = Path(__file__).resolve().parent.parent / "recipes" / "studies" / "smollm2-135m"
STS, SHARE, PREVIEW, SURPRISE = range(4)
COLUMNS = ("sts_icl", "share", "preview_kl")
"""Scores whose logarithms are covariates, in the order of the numbers above; surprise is one already."""
BASE = "each domain's own factor times STS_ICL"
FORMS: Mapping[str, Form] = {
    "logarithms: strength and domains alone": Form(()),
    "logarithms with preview KL": Form((PREVIEW,)),
    "logarithms with STS_ICL": Form((STS,)),
    "logarithms with STS_ICL's share of the whole shift": Form((SHARE,)),
    "logarithms with the share and preview KL": Form((SHARE, PREVIEW)),
}
LEVELS = {"mean log STS_ICL over domains": STS, "mean log preview KL over domains": PREVIEW, "surprise": SURPRISE}


@dataclass(frozen=True)
class Forecast:
    """Say what was expected of every cell without its target: `[n]` each; None where a forecast gives no such thing.

    Attributes:
        change: In nats a token.
        log: Of the logarithm.
        ends: Lower and upper ends of the 95 % interval.
    """

    change: Doubles
    log: Doubles | None
    ends: tuple[Doubles, Doubles] | None


@dataclass(frozen=True)
class Judged:
    """A forecast's errors by target, `[T]` root mean squares over domains; NaN where it has none.

    Attributes:
        nats: Of the change.
        logs: Of its logarithm.
        known: Of its logarithm, were the target's strength known: less the target's mean.
        strength: Size of the target's mean error in logarithms.
        inside: Share of all cells within their interval.
    """

    nats: Doubles
    logs: Doubles
    known: Doubles
    strength: Doubles
    inside: float


def read_cells(folder: Path) -> tuple[Logs, tuple[str, ...]]:
    """The study's cells with logarithms of covariates, and its targets' names."""
    table = json.loads((folder / "table.json").read_text(encoding="utf-8"))
    surprise = json.loads((folder / "logarithms" / "surprise.json").read_text(encoding="utf-8"))
    moved = np.array(table["measures"]["kl"], dtype=np.float64).mean(2)
    scores = np.array([table["predictors"][name] for name in COLUMNS], dtype=np.float64)
    known = ~np.isnan(moved) & ~np.isnan(scores).any(0)
    target, domain = np.nonzero(known)
    values = np.array([surprise[name] for name in table["targets"]], dtype=np.float64)
    covariates = np.column_stack([*np.log(scores[:, known]), values[target]])
    names = tuple(table["domains"][place] for place in domain)
    return Logs(np.log(moved[known]), covariates, names, target, target), tuple(table["targets"])


def by_factors(cells: Logs, column: int | None, *, own: bool) -> Forecast:
    """Each target by the factor model of the others; a score of 1 where there is none."""
    scores = np.ones(len(cells.changes)) if column is None else np.exp(cells.covariates[:, column])
    known = Changes(scores, np.exp(cells.changes), cells.domains, cells.runs)
    change, low, high = (np.zeros(len(scores)) for _ in range(3))
    for target in np.unique(cells.groups):
        out = cells.groups == target
        found = predict(known.part(~out), known.part(out).domains, scores[out], own=own)
        change[out], low[out], high[out] = found.change, found.low, found.high
    return Forecast(change, np.log(change), (low, high))


def by_logs(cells: Logs, form: Form) -> Forecast:
    """Each target by the regression on logarithms of the others."""
    found = left_out_logs(cells, form)
    changes = found.as_changes()
    return Forecast(changes.change, found.mean, (changes.low, changes.high))


def over_targets(cells: Logs, of: Callable[[npt.NDArray[np.bool_]], float]) -> Doubles:
    """`[T]` something of each target's cells."""
    return np.array([of(cells.groups == target) for target in np.unique(cells.groups)])


def judged(cells: Logs, forecast: Forecast) -> Judged:
    """How far a forecast erred."""
    moved = np.exp(cells.changes)
    apart = forecast.change - moved
    rest = np.full(len(moved), np.nan) if forecast.log is None else cells.changes - forecast.log
    inside = np.nan
    if forecast.ends is not None:
        inside = float(np.mean((forecast.ends[0] <= moved) & (moved <= forecast.ends[1])))
    return Judged(
        over_targets(cells, lambda here: float(np.sqrt(np.mean(apart[here] ** 2)))),
        over_targets(cells, lambda here: float(np.sqrt(np.mean(rest[here] ** 2)))),
        over_targets(cells, lambda here: float(rest[here].std())),
        over_targets(cells, lambda here: float(abs(rest[here].mean()))),
        inside,
    )


def minus(values: Doubles, base: Doubles) -> str:
    """A mean difference over targets with its interval."""
    apart = values - base
    if np.isnan(apart).any():
        return "–"
    reach = float(stdtrit(len(apart) - 1, 0.975)) * apart.std(ddof=1) / np.sqrt(len(apart))
    return f"{apart.mean():+.3f} [{apart.mean() - reach:.3f}, {apart.mean() + reach:.3f}]"


def figure(values: Doubles | float, digits: int = 3) -> str:
    """A mean over targets."""
    return "–" if np.isnan(values).any() else f"{np.mean(values):.{digits}f}"


def forecasts(cells: Logs) -> dict[str, Forecast]:
    """Every forecast of the first table."""
    return {
        "no change at all": Forecast(np.zeros(len(cells.changes)), None, None),
        "how far domains move anyway, without any score": by_factors(cells, None, own=True),
        "one factor times STS_ICL": by_factors(cells, STS, own=False),
        BASE: by_factors(cells, STS, own=True),
        **{name: by_logs(cells, form) for name, form in FORMS.items()},
    }


def chosen(cells: Logs) -> list[str]:
    """The way that is chosen without each target, by the others' errors."""
    known = Changes(np.exp(cells.covariates[:, STS]), np.exp(cells.changes), cells.domains, cells.runs)
    ways = []
    for target in np.unique(cells.groups):
        rest = known.part(known.runs != target)
        one, own = (left_out_error(rest, own=each) for each in (False, True))
        logs = root(squares(rest, np.array(left_out_by_logs(rest))).values())
        ways.append(str(Errors(one, own, 0.0, logs).best))
    return ways


def first_table(cells: Logs) -> Iterator[str]:
    """Errors of every forecast."""
    minus_own = "minus own factors'"
    yield f"| forecast | error | {minus_own} | in logarithms | were strength known | {minus_own} | within 95 % |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    found = {name: judged(cells, forecast) for name, forecast in forecasts(cells).items()}
    for name, one in found.items():
        base = found[BASE]
        itself = name == BASE
        yield (
            f"| {name} | {figure(one.nats)} | {'' if itself else minus(one.nats, base.nats)} | {figure(one.logs, 2)} | "
            f"{figure(one.known, 2)} | {'' if itself else minus(one.known, base.known)} | {figure(one.inside, 2)} |"
        )


def second_table(cells: Logs) -> Iterator[str]:
    """What covariates say of strength, beside slopes on one or two scores."""
    yield "| slopes on | strength by | error of strength | minus nothing's | error | minus nothing's | known to help |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for slopes, title in (((STS,), "STS_ICL"), ((SHARE, PREVIEW), "the share and preview KL")):
        base = judged(cells, by_logs(cells, Form(slopes)))
        yield f"| {title} | nothing: as earlier targets' | {figure(base.strength, 2)} | | {figure(base.nats)} | | |"
        for name, column in LEVELS.items():
            form = Form(slopes, level=column)
            one = judged(cells, by_logs(cells, form))
            yield (
                f"| | {name} | {figure(one.strength, 2)} | {minus(one.strength, base.strength)} | "
                f"{figure(one.nats)} | {minus(one.nats, base.nats)} | {'yes' if level_helps(cells, form) else 'no'} |"
            )


def slope_of(cells: Logs) -> str:
    """The slope on STS_ICL, its interval by the jackknife over targets."""
    form, count = Form((STS,)), len(np.unique(cells.groups))
    value = float(learn_logs(cells, form).slopes[0])
    left = [learn_logs(cells.part(cells.groups != target), form).slopes[0] for target in np.unique(cells.groups)]
    reach = float(stdtrit(count - 1, 0.975)) * np.sqrt((count - 1) * np.var(left))
    return f"{value:.2f} [{value - reach:.2f}, {value + reach:.2f}]"


def correlations(cells: Logs) -> str:
    """How strengths went with each covariate's level."""
    fit = learn_logs(cells, Form((STS,)))
    levels = fit.layout.run_levels
    return ", ".join(
        f"{np.corrcoef(levels[:, column], fit.strengths)[0, 1]:.2f} with {name}" for name, column in LEVELS.items()
    )


def lines_of(folder: Path) -> list[str]:
    """All that is printed."""
    cells, targets = read_cells(folder)
    ways = chosen(cells)
    return [
        "# Forecasts on logarithms, targets left out",
        "",
        "Printed by `python bin/log_forecasts.py` from ../table.json; exploratory, see docs/evidence.md.",
        "Errors are means over targets of root mean squares over domains, in nats a token and in logarithms;",
        "brackets are 95 % t intervals over targets of paired differences.",
        "",
        *first_table(cells),
        "",
        *second_table(cells),
        "",
        f"{len(targets)} targets, {len(cells.changes)} cells. Slope on log STS_ICL {slope_of(cells)}.",
        f"Strength has r = {correlations(cells)}.",
        f"Without each target in turn the others choose logarithms for {ways.count('logs')} of {len(ways)}.",
    ]


def main(argv: Sequence[str]) -> None:
    """Print both tables of the shipped study or of another one's folder."""
    sys.stdout.write("\n".join(lines_of(Path(argv[0]) if argv else STUDY)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
