"""Writes RESULTS.md from data.json and registered.json: how many features that training moves each predictor names.

    python recipes/studies/smollm2-135m-grpo-direction/judge.py

Seeds are averaged within a target; intervals are 95 % t intervals over targets. A training's pilot has another seed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from mixplan.runs import content_hash

HERE = Path(__file__).resolve().parent
Doubles = npt.NDArray[np.float64]
Targets = Mapping[str, Mapping[str, Any]]

SETS = ("development", "held_out", "all")
OTHER_SEED = "pilot_34"
"""Another training of the whole job: what no single pilot can be expected to pass."""


def shared_by(targets: Targets, predictor: str) -> dict[str, float]:
    """By target, features shared with what its trainings moved, mean over these; targets without the predictor fail."""
    found = {}
    for name, target in targets.items():
        jobs = target["jobs"].values()
        if all(predictor in job["predicted"] for job in jobs):
            found[name] = float(np.mean([shared(job["predicted"][predictor], job["actual"]) for job in jobs]))
    return found


def shared_elsewhere(targets: Targets, predictor: str) -> dict[str, float]:
    """By target, features shared with what the other targets' trainings moved, mean over all of these."""
    found = {}
    for name, target in targets.items():
        others = [job["actual"] for other, one in targets.items() if other != name for job in one["jobs"].values()]
        mine = [job["predicted"].get(predictor) for job in target["jobs"].values()]
        if others and None not in mine:
            found[name] = float(np.mean([shared(one, other) for one in mine for other in others]))
    return found


def shared(left: Sequence[int], right: Sequence[int]) -> int:
    """How many features two sets share."""
    return len(set(left) & set(right))


def among(targets: Targets, part: str) -> Targets:
    """The targets of a set."""
    wanted = {"development": (True,), "held_out": (False,), "all": (True, False)}[part]
    return {name: target for name, target in targets.items() if target["development"] in wanted}


def mean_of(values: Mapping[str, float]) -> tuple[float, float, float]:
    """Mean over targets with the ends of its t interval; NaN where there are too few."""
    known = np.array(list(values.values()))
    if len(known) == 0:
        return math.nan, math.nan, math.nan
    half = (
        float(stdtrit(len(known) - 1, 0.975)) * float(known.std(ddof=1)) / math.sqrt(len(known))
        if len(known) > 1
        else math.nan
    )
    return float(known.mean()), float(known.mean() - half), float(known.mean() + half)


def difference(targets: Targets, left: str, right: str) -> dict[str, float]:
    """By target, how many more features the left predictor names than the right."""
    first, second = shared_by(targets, left), shared_by(targets, right)
    return {name: first[name] - second[name] for name in first if name in second}


def said(values: Mapping[str, float], *, of: int | None = None, sign: bool = False) -> str:
    """A mean with its interval, as a table has it, and the number of targets where these are not `of`."""
    mean, low, high = mean_of(values)
    if math.isnan(mean):
        return "–"
    form = "+.1f" if sign else ".1f"
    text = f"{mean:{form}}" if math.isnan(low) else f"{mean:{form}} [{low:{form}}, {high:{form}}]"
    return text if of is None or len(values) == of else f"{text} ({len(values)})"


def chance(targets: Targets, count: int) -> dict[str, float]:
    """By target, what as many live features drawn blindly share: N² / live, mean over trainings."""
    return {
        name: float(np.mean([count**2 / job["live"] for job in target["jobs"].values()]))
        for name, target in targets.items()
    }


def names_of(targets: Targets) -> list[str]:
    """Predictors that every training has, and those that some have, best on the development targets first."""
    names = {name for target in targets.values() for job in target["jobs"].values() for name in job["predicted"]}
    development = among(targets, "development")
    return sorted(names, key=lambda name: (-np.nan_to_num(mean_of(shared_by(development, name))[0], nan=-1), name))


def table(targets: Targets, count: int) -> list[str]:
    """Each predictor's overlap by set, its difference from the pilot, and what is the target's own."""
    lines = [
        "| predicted by | development | held out | all | less the pilot, development | less the pilot, held out "
        "| less the pilot, all | shared with other targets' |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in names_of(targets):
        parts = [among(targets, part) for part in SETS]
        cells = [said(shared_by(part, name), of=len(part)) for part in parts]
        cells += [said(difference(part, name, "pilot"), of=len(part), sign=True) for part in parts]
        lines.append(f"| `{name}` | {' | '.join(cells)} | {said(shared_elsewhere(targets, name))} |")
    blind = [said(chance(among(targets, part), count)) for part in SETS]
    return [*lines, f"| features drawn blindly | {' | '.join(blind)} | | | | |"]


def by_target(targets: Targets, names: Sequence[str]) -> list[str]:
    """Some predictors' overlap with each training."""
    lines = ["| target | seed | " + " | ".join(f"`{name}`" for name in names) + " |", "| --- " * (len(names) + 2) + "|"]
    for name, target in targets.items():
        for seed, job in target["jobs"].items():
            cells = [shared(job["predicted"][one], job["actual"]) if one in job["predicted"] else "–" for one in names]
            lines.append(f"| {name} | {seed} | " + " | ".join(map(str, cells)) + " |")
    return lines


def verdict(targets: Targets, mark: Mapping[str, Any], wanted: Sequence[str]) -> tuple[str, str]:
    """What a mark asked about, and whether it is reached: open while a registered target is not measured.

    Args:
        targets: What was measured.
        mark: What was registered.
        wanted: The targets that it is judged on.
    """
    values = difference(among(targets, mark["on"]), mark["left"], mark["right"])
    if missing := [name for name in wanted if name not in values]:
        return said(values, sign=True), f"open: {len(wanted) - len(missing)} of {len(wanted)} targets"
    mean, low, _ = mean_of(values)
    reached = mean >= mark["at_least"]
    reached &= mark.get("low_above") is None or low > mark["low_above"]
    reached &= mark.get("each_above") is None or min(values.values()) > mark["each_above"]
    return said(values, sign=True), "yes" if reached else "no"


def costs(targets: Targets) -> list[str]:
    """Rewards and processor seconds by target."""
    lines = [
        "| target | reward, untrained | reward at the pilots | reward, last ten steps | steps trained | training, "
        "processor seconds | reading and sampling |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, target in targets.items():
        rewards = [job["reward_of_pilot"] for job in target["jobs"].values()]
        pilots = ", ".join("–" if reward is None else f"{reward:.2f}" for reward in rewards)
        whole = [target["trainings"][seed]["rewards"][-10:] for seed in target["jobs"]]
        last = ", ".join(f"{float(np.mean(one)):.2f}" for one in whole)
        steps = ", ".join(str(len(one["rewards"])) for one in target["trainings"].values())
        seconds = sum(one["processor_seconds"] for one in target["trainings"].values())
        lines.append(
            f"| {name} | {target['reward_untrained']:.2f} | {pilots} | {last} | {steps} | {seconds:,.0f} "
            f"| {target['reading_processor_seconds']:,.0f} |"
        )
    return lines


def registered(file: Path) -> dict[str, Any]:
    """What was written down before the new targets were trained.

    Raises:
        SystemExit: the file's hash is not that of what it holds.
    """
    value: dict[str, Any] = json.loads(file.read_bytes())
    if content_hash(value["registered"]) != value["hash"]:
        raise SystemExit(f"{file}: it was changed after it was registered. Put it back.")
    return value


def page(data: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """RESULTS.md."""
    targets, count = data["targets"], int(data["features"])
    lines = [
        "# Does the reward's own direction predict what GRPO moves?",
        "",
        "Written by `python recipes/studies/smollm2-135m-grpo-direction/judge.py` from data.json and registered.json; "
        "nothing here was typed in.",
        "",
        f"Of the {count} features that a whole job moves most on its target's question tokens, how many are named "
        "before it. Means over targets with 95 % t intervals over targets; seeds are averaged first. In brackets after "
        "these, how many targets have the predictor where not all do. What each is stands in predictors.py.",
        "",
        "## Marks",
        "",
        "Registered before anything was read of the held-out targets, and before the first training of all of these "
        f"but letters, as `{asked['hash']}`.",
        "",
        "| mark | on | found | reached |",
        "| --- | --- | --- | --- |",
    ]
    for mark in asked["registered"]["marks"]:
        what, reached = verdict(targets, mark, asked["registered"][mark["on"]])
        lines.append(f"| {mark['text']} | {mark['on'].replace('_', ' ')} | {what} | {reached} |")
    lines += ["", "## Every predictor", "", *table(targets, count), "", "## By training", ""]
    lines += by_target(targets, asked["registered"]["shown"])
    lines += ["", "## Rewards and cost", "", *costs(targets), ""]
    return "\n".join(lines)


def main() -> None:
    """Write RESULTS.md."""
    data = json.loads((HERE / "data.json").read_bytes())
    (HERE / "RESULTS.md").write_text(page(data, registered(HERE / "registered.json")), encoding="utf-8")


if __name__ == "__main__":
    main()
