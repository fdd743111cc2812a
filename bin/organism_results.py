"""Writes what the organism is and what was found with it, from the JSON lines of its trainings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from organism_arms import ITEMS, TARGET_ROWS
from organism_heldout import BUDGETS, KEPT, SEEDS, Mark, judged
from organism_levers_results import levers_section, points
from organism_regime import ARMS, GRID, Line, Verdict, read_results, verdicts
from organism_targets import divided

PERCENT = 100.0


def write_results(study: Path) -> None:
    """Writes RESULTS.md of a study's folder, from organism.json, regime.jsonl and what else of it is there.

    Args:
        study: Holds `organism.json` (by `bin/organism skills`) and the JSON lines of the trainings.
    """
    about = json.loads((study / "organism.json").read_bytes())
    parts = [*opening(study.resolve().name), *skills_section(about)]
    if (study / "regime.jsonl").exists():
        parts += regime_section(study / "regime.jsonl")
    if (study / "heldout.jsonl").exists():
        parts += heldout_section(study / "heldout.jsonl")
    if (study / "levers.jsonl").exists():
        parts += levers_section(study / "levers.jsonl")
    (study / "RESULTS.md").write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")


def opening(name: str) -> Iterator[str]:
    """What the study asks, and its commands.

    Args:
        name: Of the study's folder, after which its commands call the organism's.
    """
    study, folder = f"recipes/studies/{name}", f"runs/{name}"
    yield "# A model organism: can a mixture be told from another?"
    yield ""
    yield f"Written by `bin/organism results {study}` from the JSON lines beside it; nothing here is typed in."
    yield "The commands, on one CPU core, in float32:"
    yield ""
    yield "```bash"
    yield f"bin/organism make {folder}           # rows, tokenizer, model, SAE; goes on where it was stopped"
    yield f"bin/organism skills {folder} --into {study}"
    for part in ("regime", "heldout", "levers"):
        yield f"bin/organism {part} {folder} {study}/{part}.jsonl"
    yield f"bin/organism results {study}"
    yield "```"
    yield ""


def skills_section(about: Mapping[str, object]) -> Iterator[str]:
    """The organism and its skills."""
    accuracy: dict[str, float] = about["accuracy"]  # type: ignore[assignment]  # as `measured_skills` wrote it
    kept: list[str] = about["kept"]  # type: ignore[assignment]
    yield "## The organism"
    yield ""
    yield (
        f"A Llama of {about['parameters']:,} parameters (weights {about['weights']}), made in {about['steps']} steps "
        f"and {about['processor_seconds']:,.0f} processor seconds. Accuracy on {about['items']} questions a skill that "
        f"no training holds; skills from {about['good']:.0%} on are kept: {len(kept)} of {len(accuracy)}."
    )
    yield ""
    yield "| skill | right answers | kept |"
    yield "| --- | ---: | --- |"
    for word, right in accuracy.items():
        yield f"| {word} | {right:.1%} | {'yes' if word in kept else 'no'} |"
    yield ""
    if "sae" in about:
        sae: dict[str, Any] = about["sae"]  # type: ignore[assignment]
        yield (
            f"Its SAE ({sae['kind']}, {sae['d_sae']} features at `{sae['hook_name']}`, {sae['tokens']:,} tokens, by "
            f"`mixplan sae train`) leaves {sae['fvu']:.1%} of the variance unexplained on {sae['tokens_heldout']:,} "
            f"tokens held out, with {sae['l0']:.1f} features a token; {sae['dead_share']:.1%} of the features are dead."
        )
        yield ""


def regime_section(path: Path) -> Iterator[str]:
    """The search, its rule, each cell's verdict, and each training."""
    first, lines = read_results(path)
    seconds = sum(line.measured.seconds for line in lines)
    found = verdicts(path)
    yield "## The search for a regime"
    yield ""
    yield (
        f"{len(lines)} trainings of all weights, {seconds:,.0f} processor seconds. Each step holds {TARGET_ROWS} "
        "target rows, the same in each arm, and in `uniform` and `oracle` the extra rows too, each once. `oracle` "
        f"gives rows in proportion to the accuracy that `none` lost on {ITEMS} questions of the split `probe`; all "
        f"figures are on {ITEMS} others, the same for every arm. Rule, grid and seed were fixed before the first "
        f"training ({hashes(first)}):"
    )
    yield ""
    yield (
        "> A cell is a regime where, over the ten development targets, Student's intervals of two paired mean "
        "differences leave 0, each at 95 % over all cells (Bonferroni): the worst skill's accuracy after `none` minus "
        "untrained below 0, `oracle` minus `uniform` above 0."
    )
    yield ""
    yield (
        "Which jobs to list in the grid was chosen on the same targets: learning rates of 1e-3, 3e-4 and 1e-4 over 40 "
        "and 120 steps were tried on `sort_longer`, `max_marked`, `mode_longer` and `last` with an organism half made. "
        "At 1e-3 the target alone left most skills nothing. The figures here are therefore a search's; the held-out "
        "targets judge."
    )
    yield ""
    yield from cells_table(found)
    yield from arms_table(lines, first)
    yield from targets_table(lines)


def hashes(first: Mapping[str, Any]) -> str:
    """The files that a study ran, with the first half of their hashes."""
    return ", ".join(f"`{name}` {mark}" for name, mark in first["sha256"].items())


def cell_name(cell: Sequence[float]) -> str:
    """Learning rate, steps and extra rows in words."""
    return f"{cell[0]:g}, {cell[1]:.0f} steps, {cell[2]:.0f} extra a step"


def cells_table(found: Sequence[Verdict]) -> Iterator[str]:
    """Each cell with what decides, in points of accuracy."""
    regimes = [verdict for verdict in found if verdict.regime]
    yield (
        f"**Regimes found: {len(regimes)} of {len(found)} cells begun, of {len(GRID)} registered"
        + (f" ({'; '.join(cell_name(verdict.cell) for verdict in regimes)})" if regimes else "")
        + ".** Differences in points of accuracy:"
    )
    yield ""
    yield (
        "| cell | targets | none − untrained, worst skill | oracle − uniform, worst skill | oracle − uniform, mean "
        "| oracle's gain on the target / none's | regime |"
    )
    yield "| --- | ---: | ---: | ---: | ---: | ---: | --- |"
    for verdict in found:
        yield (
            f"| {cell_name(verdict.cell)} | {verdict.targets} | {points(verdict.harm)} | {points(verdict.gain)} | "
            f"{points(verdict.mean_gain)} | {verdict.kept:.2f} | {'yes' if verdict.regime else 'no'} |"
        )
    yield ""


def arms_table(lines: Sequence[Line], first: Mapping[str, object]) -> Iterator[str]:
    """Means over targets by cell and arm."""
    untrained: dict[str, dict[str, int]] = first["untrained"]  # type: ignore[assignment]  # as `search` wrote it
    skills = untrained["skills"].values()
    yield (
        f"Means over the trainings that each arm has, in per cent. Untrained: worst skill "
        f"{PERCENT * min(skills) / ITEMS:.1f}, mean {PERCENT * sum(skills) / len(skills) / ITEMS:.1f}."
    )
    yield ""
    yield "| cell | arm | trainings | worst skill | mean over skills | target |"
    yield "| --- | --- | ---: | ---: | ---: | ---: |"
    for cell in dict.fromkeys((line.job.learning_rate, line.job.steps, line.job.extra_rows) for line in lines):
        for arm in dict.fromkeys(line.arm for line in lines):
            some = [line for line in lines if line.arm == arm and cell_of(line) == cell]
            if some:
                means = (
                    sum(values) / len(some) for values in zip(*((w.worst, w.mean, w.target) for w in some), strict=True)
                )
                yield (
                    f"| {cell_name(cell)} | {arm} | {len(some)} | "
                    + " | ".join(f"{PERCENT * m:.1f}" for m in means)
                    + " |"
                )
    yield ""


def cell_of(line: Line) -> tuple[float, int, int]:
    """The cell of the grid that a training belongs to."""
    return line.job.learning_rate, line.job.steps, line.job.extra_rows


def targets_table(lines: Sequence[Line]) -> Iterator[str]:
    """Each job: what was left of the worst skill, which it was, and which skills the oracle gave most to."""
    yield (
        "Each job: accuracy of the skill that came out worst, in per cent, and its name; what the oracle gave most "
        "rows to."
    )
    yield ""
    yield "| target | cell | " + " | ".join(ARMS) + " | oracle's rows |"
    yield "| --- | --- | " + "--- | " * len(ARMS) + "--- |"
    jobs = dict.fromkeys(line.job for line in lines)
    for job in jobs:
        by = {line.arm: line for line in lines if line.job == job}
        cells = [worst_of(by[arm]) if arm in by else "" for arm in ARMS]
        amounts = by["oracle"].amounts if "oracle" in by else {}
        most = sorted(((rows, word) for word, rows in amounts.items() if rows), reverse=True)[:4]
        given = ", ".join(f"{word} {rows}" for rows, word in most)
        cell = cell_name((job.learning_rate, job.steps, job.extra_rows))
        yield f"| `{job.target}` | {cell} | " + " | ".join(cells) + f" | {given} |"
    yield ""


def worst_of(line: Line) -> str:
    """The worst skill's accuracy and name."""
    right, word = min((right, word) for word, (right, _, _) in line.measured.skills.items())
    return f"{PERCENT * right / ITEMS:.1f} {word}"


def heldout_section(path: Path) -> Iterator[str]:
    """The comparison on held-out targets: its rule, how far it has come, each arm beside `uniform`."""
    first, lines = read_results(path)
    found = judged(path)
    whole = len(first["untrained"]["targets"]) * len(SEEDS)  # type: ignore[index]  # as `compare` wrote it
    done = {(line.job.target, line.job.seed) for line in lines if line.job.extra_rows == BUDGETS[-1]}
    yield "## Held-out targets"
    yield ""
    yield (
        f"{len(lines)} trainings, {sum(line.measured.seconds for line in lines):,.0f} processor seconds; "
        f"{len(done)} of {whole} pairs of target and seed were begun at both budgets. What each arm is stands in "
        "`bin/organism_heldout.py`, whose text was fixed before the first training. An arm of a plan meets the mark "
        "where it surely beats `uniform` on the worst skill (Student's interval over targets at 95 % over all plans' "
        f"arms and budgets) and keeps {KEPT:.0%} of the target's gain ({hashes(first)})."
    )
    yield ""
    yield "| budget | arm | targets | trainings | worst skill − uniform | mean − uniform | gain kept | mark |"
    yield "| ---: | --- | ---: | ---: | ---: | ---: | ---: | --- |"
    for mark in found:
        yield (
            f"| {mark.budget} | {mark.arm} | {mark.targets} | {mark.trainings} | {points(mark.worst)} | "
            f"{points(mark.mean)} | {mark.kept:.3f} | {met(mark)} |"
        )
    yield ""
    yield from arms_table(lines, first)


def met(mark: Mark) -> str:
    """Whether an arm meets the mark, where it can."""
    if mark.met is None:
        return ""
    return "met" if mark.met else "not met" if mark.targets == len(divided()[1]) else "targets are missing"
