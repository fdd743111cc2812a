"""Writes RESULTS.md: how forecasts that learned from eight targets did on these six, as registered.json asks.

    python recipes/studies/smollm2-135m-held-out/judge.py
    python recipes/studies/smollm2-135m-held-out/judge.py earlier

It reads table.json (`mixplan study run`) and pilots-SEED.json (../smollm2-135m-pilots/measure.py) beside it, and what
was measured of the earlier targets, which comes with mixplan. The second form writes the same of these, on which all of
it was developed, into ../smollm2-135m-pilots/RESULTS.md: each without itself, from its one pilot.
"""

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from mixplan.forecast.by_pilot import by_pilot
from mixplan.forecast.completion_choice import choose
from mixplan.forecast.earlier_changes import table_of
from mixplan.forecast.earlier_pilots import shipped_pairs
from mixplan.forecast.evidence import SHIPPED, run_of
from mixplan.forecast.expected_change import gathered, learn
from mixplan.forecast.factors import Changes, expected_of, left_out_changes, predict
from mixplan.forecast.job import distance
from mixplan.forecast.log_ridge import Form, Logs
from mixplan.forecast.log_ridge_choices import learn_logs, left_out_logs, predict_runs
from mixplan.forecast.matching import Recognised
from mixplan.forecast.measured_run import Run
from mixplan.forecast.pilot_law import MeasuredPilot, Pair
from mixplan.forecast.target_only import Known
from mixplan.forecast.ways import errors_of, squares
from mixplan.runs import content_hash
from mixplan.saved.evidence import Evidence
from mixplan.saved.plan import Job
from mixplan.sts import Score
from mixplan.study.judged.sign import judge_sign
from mixplan.study.judged.table import Table, read_table

Doubles = npt.NDArray[np.float64]

HERE = Path(__file__).resolve().parent
COUNT = 3
"""Domains that a pilot's forecast knows."""
WAYS = {
    "none": "no change at all",
    "today": "0.1.0: each domain's own factor times STS_ICL",
    "without_pilot": "a plan's forecast without a pilot",
    "with_pilot": "from a pilot, measured in three domains",
}


@dataclass(frozen=True)
class Forecast:
    """What was expected of a target's domains, `[D]` in nats a token: the change, and the ends of its 95 % interval."""

    change: Doubles
    low: Doubles
    high: Doubles


ENDS = ("change", "low", "high")


def forecast_of(expected: Iterable[object]) -> Forecast:
    """Domains' expectations as arrays."""
    rows = np.array([[getattr(one, end) for end in ENDS] for one in expected], dtype=np.float64)
    return Forecast(*rows.T)


def part_of(forecast: Forecast, places: list[int]) -> Forecast:
    """Some of a forecast's domains."""
    return Forecast(*(getattr(forecast, end)[places] for end in ENDS))


@dataclass(frozen=True)
class Held:
    """One target: what moved, and what was expected.

    Attributes:
        name: The target.
        measured: Domains that its pilots' forecasts know.
        moved: `[S, D]` what each job moved in the other domains, in nats a token.
        forecasts: By way, one for each job.
        ways: The way that a plan without a pilot takes.
    """

    name: str
    measured: tuple[str, ...]
    moved: Doubles
    forecasts: Mapping[str, tuple[Forecast, ...]]
    ways: str

    def error(self, way: str) -> float:
        """Root mean square error over jobs and domains, in nats a token."""
        apart = np.array([one.change for one in self.forecasts[way]]) - self.moved
        return float(np.sqrt(np.mean(np.square(apart))))

    def inside(self, way: str) -> npt.NDArray[np.bool_]:
        """`[S, D]` what moved within its interval."""
        low, high = (np.array([getattr(one, end) for one in self.forecasts[way]]) for end in ("low", "high"))
        return (low <= self.moved) & (self.moved <= high)


def earlier() -> tuple[list[Run], list[Pair]]:
    """The eight targets that came before, and their pilots."""
    evidence = Evidence.model_validate_json((SHIPPED / "smollm2-135m.json").read_bytes())
    runs = [run_of(evidence, "study", target) for target in evidence.targets]
    return runs, list(shipped_pairs(runs))


def held(table: Table, name: str, runs: list[Run], pairs: list[Pair], pilots: Mapping[int, Any]) -> Held:
    """Forecast one target in every way."""
    at = table.targets.index(name)
    moved, scores = table.measures["kl"][at], table.predictors["sts_icl"][at]
    there = [place for place in range(len(table.domains)) if np.isfinite(moved[place]).all()]
    names = [table.domains[place] for place in there]
    given = {table.domains[place]: Score(*[float(scores[place])] * 3) for place in there}
    job = runs[0].job
    if job is None:
        raise SystemExit("the earlier targets do not say what they trained with")
    known = Known(Recognised(tuple(runs), tuple(range(len(runs)))), tuple(distance(job, run.job) for run in runs))
    learned = learn(known, given, score="sts_icl", measures={})
    if learned is None:
        raise SystemExit("nothing was learned from the earlier targets")
    plain = predict(gathered(known, "kl", "sts_icl"), names, scores[there], own=True)
    without = forecast_of(learned.expected[domain]["behaviour"] for domain in names)
    common = set.intersection(*(set(pair.domains) for pair in pairs))
    shared = table_of(known, [domain for domain in names if domain in common])
    measured = tuple(shared.names[place] for place in choose(shared.logs, least=COUNT, most=COUNT).places)
    by_seed = []
    for seed in table.seeds:
        # A job's pilot has the other seed.
        pilot = next(value for other, value in pilots.items() if other != seed)["targets"][name]
        changes = {one: (pilot["domains"][one]["change"], pilot["domains"][one]["error"]) for one in measured}
        short = MeasuredPilot(Job.model_validate(pilot["job"]), changes, tuple(pairs))
        found = by_pilot(short, job, known, given, "sts_icl")
        # A plan whose pilot moved nothing beyond noise forecasts without it.
        by_seed.append(without if found is None else forecast_of(found.estimates.values()))
    rest = [number for number, domain in enumerate(names) if domain not in measured]
    nothing = Forecast(*np.zeros((3, len(names))))
    alike = {"none": nothing, "today": Forecast(plain.change, plain.low, plain.high), "without_pilot": without}
    made = {way: [each] * len(table.seeds) for way, each in alike.items()} | {"with_pilot": by_seed}
    forecasts = {way: tuple(part_of(one, rest) for one in each) for way, each in made.items()}
    return Held(name, measured, moved[there][rest].T, forecasts, learned.ways["kl"].by)


def interval(values: Doubles) -> tuple[float, float, float]:
    """A mean over targets with its 95 % t interval."""
    reach = float(stdtrit(len(values) - 1, 0.975)) * values.std(ddof=1) / math.sqrt(len(values))
    return float(values.mean()), float(values.mean() - reach), float(values.mean() + reach)


def errors(found: list[Held], way: str) -> Doubles:
    """`[T]` errors of a way."""
    return np.array([one.error(way) for one in found])


def coverage(found: list[Held], way: str) -> tuple[float, int]:
    """The share of changes within their intervals, and of how many."""
    inside = np.concatenate([one.inside(way).ravel() for one in found])
    return float(inside.mean()), len(inside)


def lines_of_ways(found: list[Held]) -> Iterator[str]:
    """The table of errors."""
    yield "| forecast | error, nats a token | of 0.1.0's | less 0.1.0's | 95 % intervals hold |"
    yield "| --- | --- | --- | --- | --- |"
    base = errors(found, "today")
    for way, title in WAYS.items():
        mine = errors(found, way)
        value, low, high = interval(mine - base)
        apart = "" if way == "today" else f"{value:+.3f} [{low:.3f}, {high:.3f}]"
        holds = "–" if way == "none" else f"{coverage(found, way)[0]:.3f} of {coverage(found, way)[1]}"
        yield f"| {title} | {mine.mean():.3f} | {mine.mean() / base.mean():.2f} | {apart} | {holds} |"


def lines_of_targets(found: list[Held]) -> Iterator[str]:
    """Errors by target."""
    yield f"| target | moved, mean | {' | '.join(f'`{way}`' for way in WAYS)} | a plan's way | the pilot knew |"
    yield f"| --- | --- | {' | '.join('---' for _ in WAYS)} | --- | --- |"
    for one in found:
        cells = " | ".join(f"{one.error(way):.3f}" for way in WAYS)
        yield f"| {one.name} | {one.moved.mean():.3f} | {cells} | {one.ways} | {', '.join(one.measured)} |"


def signs(table: Table, pilots: Mapping[int, Any]) -> tuple[dict[str, Any], list[str]]:
    """How often the pilot's sign is right, beside always saying gain and always saying loss."""
    predicted = np.full((len(table.targets), len(table.domains)), np.nan)
    for row, target in enumerate(table.targets):
        for column, domain in enumerate(table.domains):
            parts = [one["targets"][target]["domains"].get(domain) for one in pilots.values()]
            if all(parts):
                predicted[row, column] = -float(np.mean([part["bits_per_byte"]["change"] for part in parts]))
    quantity = "bits_per_byte"
    found = judge_sign(predicted, table.measures[quantity], table.noise[quantity], quantity)
    right, loss = found.right, found.always_loss
    if right.value is None or loss.value is None or right.low is None:
        return {"reached": False}, ["No domain's bits per byte surely changed."]
    gain = 1 - loss.value
    reached = right.value >= 0.8 and right.low > max(gain, loss.value)
    said = [
        f"Of {found.moved} surely changed domains {found.improved} gained. The pilot's sign is right for "
        f"{right.value:.2f} [{right.low:.2f}, {right.high:.2f}]; always saying gain for {gain:.2f}, always saying loss "
        f"for {loss.value:.2f}.",
    ]
    return {"reached": reached, "found": f"{right.value:.2f} [{right.low:.2f}, {right.high:.2f}]"}, said


def verdict(mark: Mapping[str, Any], found: list[Held], sign: Mapping[str, Any]) -> tuple[str, bool]:
    """What a mark asked about, and whether it is reached."""
    if mark["of"] == "sign":
        return str(sign.get("found", "–")), bool(sign["reached"])
    if "covers" in mark:
        value = coverage(found, mark["of"])[0]
        return f"{value:.3f}", mark["covers"][0] <= value <= mark["covers"][1]
    mine, base = errors(found, mark["of"]), errors(found, "today")
    ratio, (value, low, high) = mine.mean() / base.mean(), interval(mine - base)
    reached = ratio <= mark["ratio_at_most"] and high < mark["difference_below"]
    return f"{ratio:.2f}; {value:+.3f} [{low:.3f}, {high:.3f}]", bool(reached)


def page(table: Table, pilots: Mapping[int, Any], registered: Mapping[str, Any], mark: str) -> str:
    """The page."""
    runs, pairs = earlier()
    found = [held(table, name, runs, pairs, pilots) for name in registered["targets"]]
    sign, said = signs(table, pilots)
    lines = [
        "# Six held-out targets: how far forecasts erred",
        "",
        "Written by `python recipes/studies/smollm2-135m-held-out/judge.py` from table.json, pilots-0.json and "
        f"pilots-1.json; nothing here was typed in. Registered as `{mark}` before the first training. Errors are root "
        "mean squares over a target's two jobs and the domains that its pilots were not measured on, means over "
        f"targets; brackets are 95 % intervals. Earlier pilots: {len(pairs)}.",
        "",
        "| mark | found | reached |",
        "| --- | --- | --- |",
    ]
    for each in registered["marks"]:
        value, reached = verdict(each, found, sign)
        lines.append(f"| {each['text']} | {value} | {'yes' if reached else 'no'} |")
    lines += ["", *lines_of_ways(found), "", *lines_of_targets(found), "", *said, "", *lines_of_all(runs), ""]
    return "\n".join(lines)


FORMS = {"logarithms": Form(), "logarithms, the level of STS_ICL saying how strong a job is": Form((0,), level=0)}


def lines_of_strength(earlier_changes: Changes, new: Changes, both: Changes) -> Iterator[str]:
    """Whether the level of scores says how strong a job is: of the six from the eight, and of each of all left out."""
    yield "| way | the six from the eight | less own factors' | of fourteen, each left out | less own factors' |"
    yield "| --- | --- | --- | --- | --- |"
    base = [expected_of(earlier_changes, new, own=True), left_out_changes(both, own=True)]
    ways = {"own factors": base}
    for title, form in FORMS.items():
        fit = learn_logs(Logs.of(earlier_changes), form)
        ways[title] = [
            predict_runs(fit, Logs.of(new)).as_changes().change,
            left_out_logs(Logs.of(both), form).as_changes().change,
        ]
    for title, expected in ways.items():
        cells = []
        for mine, own, known in zip(expected, base, (new, both), strict=True):
            root, factors = (np.sqrt(list(squares(known, each).values())) for each in (mine, own))
            value, low, high = interval(root - factors)
            cells += [f"{root.mean():.3f}", "" if mine is own else f"{value:+.3f} [{low:.3f}, {high:.3f}]"]
        yield f"| {title} | {' | '.join(cells)} |"


def lines_of_all(runs: list[Run]) -> Iterator[str]:
    """How ways err where these targets are learned from as well, of which nothing was registered."""
    evidence = Evidence.model_validate_json((SHIPPED / "smollm2-135m-held-out.json").read_bytes())
    new = [run_of(evidence, "study", target) for target in evidence.targets]
    yield (
        "What plans learn from since, of which nothing was registered: errors of each way with each target left out in "
        "turn, root means over targets and all domains, in nats a token."
    )
    yield ""
    yield "| targets | no change | one factor | own factors | logarithms | taken |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for title, some in (("the earlier eight", runs), ("these six", new), ("all fourteen", [*runs, *new])):
        known = Known(Recognised(tuple(some), tuple(range(len(some)))), ())
        one = errors_of(gathered(known, "kl", "sts_icl"), logs=True)
        values = " | ".join(
            "–" if value is None else f"{value:.3f}" for value in (one.none, one.one, one.own, one.logs)
        )
        yield f"| {title} | {values} | {one.best} |"
    yield ""
    yield "Means over targets of the root mean square over all domains:"
    yield ""
    changes = [
        gathered(Known(Recognised(tuple(some), tuple(range(len(some)))), ()), "kl", "sts_icl")
        for some in (runs, new, [*runs, *new])
    ]
    yield from lines_of_strength(*changes)


def rehearsed() -> str:
    """The page of the earlier targets, each left out of everything that is learned."""
    table = read_table(HERE.parent / "smollm2-135m" / "table.json")
    pilots = json.loads((HERE.parent / "smollm2-135m-pilots" / "pilots.json").read_bytes())
    runs, pairs = earlier()
    found = []
    for name in pilots["targets"]:
        others = [run for run in runs if not run.name.endswith(f": {name}")]
        theirs = [pair for pair in pairs if pair.run in {run.hash for run in others}]
        found.append(held(table, name, others, theirs, {-1: pilots}))
    lines = [
        "# Pilots of the study smollm2-135m",
        "",
        "Written by `python recipes/studies/smollm2-135m-held-out/judge.py earlier` from ../smollm2-135m/table.json "
        "and pilots.json; nothing here was typed in. Exploratory: all of it was developed on these targets. Errors are "
        "root mean squares over a target's three jobs and the domains that its pilot was not measured on, means over "
        "targets; brackets are 95 % intervals over targets. Each target is left out of all that is learned.",
        "",
        *lines_of_ways(found),
        "",
        *lines_of_targets(found),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Write the page, or that of the earlier targets."""
    if sys.argv[1:] == ["earlier"]:
        (HERE.parent / "smollm2-135m-pilots" / "RESULTS.md").write_text(rehearsed(), encoding="utf-8")
        return
    asked = json.loads((HERE / "registered.json").read_bytes())
    if content_hash(asked["registered"]) != asked["hash"]:
        raise SystemExit("registered.json was changed after it was registered. Put it back.")
    table = read_table(HERE / "table.json")
    pilots = {seed: json.loads((HERE / f"pilots-{seed}.json").read_bytes()) for seed in table.seeds}
    (HERE / "RESULTS.md").write_text(page(table, pilots, asked["registered"], asked["hash"]), encoding="utf-8")


if __name__ == "__main__":
    main()
