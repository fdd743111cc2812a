"""Writes what was found of the levers beside rows, in the organism, from the JSON lines of their trainings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from organism_arms import ITEMS
from organism_levers import BAR, CELL, EVERY, KEPT, LEVERS, SEEDS, Beside, Line, beside, chosen, read_levers, worst
from organism_regime import Difference
from organism_targets import divided

PERCENT = 100.0
FIXED = ("none", "more", "end")
"""What the held-out targets judge beside what the development targets choose."""


def levers_section(path: Path) -> Iterator[str]:
    """The comparison of levers: its rule, what development targets show and choose, and what held-out ones judge."""
    first, lines, _ = read_levers(path)
    development, held = ([target.name for target in some] for some in divided())
    hashes = ", ".join(f"`{name}` {mark}" for name, mark in first["sha256"].items())  # type: ignore[attr-defined]
    own = [line for line in lines if line.target in development]
    judging = [line for line in lines if line.target in held]
    yield "## Other levers at equal gain"
    yield ""
    yield (
        f"{len(lines)} trainings, {sum(line.seconds for line in lines):,.0f} processor seconds of training up to where "
        f"each was taken. What each arm is stands in `bin/organism_levers.py`, whose text was fixed before the first "
        f"training ({hashes}). `plain` has one skill row beside 16 target rows in each of {CELL[1]} steps. Every arm "
        f"is taken where its accuracy on the target, looked at every {EVERY} steps on questions of their own, first "
        f"is {BAR:.0%} of the way from the untrained model to the end of `plain`; `end` is that end. Differences are "
        f"of accuracy in points on {ITEMS} other questions a skill. A lever surely keeps skills where the interval of "
        f"the worst skill's difference is above 0 and {KEPT:.0%} of the gain of `plain` is kept."
    )
    yield ""
    yield f"Development targets ({len(development)}, one seed; 95 % intervals, each by itself):"
    yield ""
    yield from table([beside(own, first, development, name, 1) for name in (*LEVERS, "end") if name != "plain"])
    if not judging:
        return
    picked = chosen(own, first)
    yield f"They choose {' and '.join(f'`{name}`' for name in picked.values())} for the held-out targets:"
    yield ""
    names = (*picked.values(), *FIXED)
    yield from table([beside(judging, first, held, name, len(names)) for name in names])
    done = {(line.target, line.seed) for line in judging if line.arm == "plain"}
    yield (
        f"{len(done)} of {len(held) * len(SEEDS)} pairs of held-out target and seed; intervals over targets, seeds "
        f"averaged, at 95 % over all {len(names)} together (Bonferroni)."
    )
    yield ""
    yield from plain_table(judging, held)


def table(found: Sequence[Beside | None]) -> Iterator[str]:
    """How arms stand beside `plain`."""
    yield (
        "| arm | targets | trainings | worst skill − plain | mean − plain | gain kept | reached the bar | steps | "
        "processor time | surely keeps |"
    )
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
    for one in found:
        if one is not None:
            reached = "" if one.arm == "end" else f"{one.reached}"
            time = "" if one.arm == "end" else f"{one.seconds:.2f}"
            yield (
                f"| {one.arm} | {one.targets} | {one.trainings} | {points(one.worst)} | {points(one.mean)} | "
                f"{one.kept:.3f} | {reached} | {one.steps:.2f} | {time} | {'yes' if one.surely else 'no'} |"
            )
    yield ""


def plain_table(lines: Sequence[Line], targets: Sequence[str]) -> Iterator[str]:
    """What `plain` leaves of the worst skill by target, where it is taken and at its end."""
    yield "| target | bar reached at step | worst skill there | at its end |"
    yield "| --- | ---: | ---: | ---: |"
    for target in targets:
        some = [line for line in lines if (line.target, line.arm) == (target, "plain")]
        if some:
            steps = " and ".join(str(line.step) for line in some)
            there = " and ".join(f"{PERCENT * worst(line.measured):.1f}" for line in some)
            end = " and ".join(f"{PERCENT * worst(line.end):.1f}" for line in some if line.end)
            yield f"| {target} | {steps} | {there} | {end} |"
    yield ""


def points(value: Difference) -> str:
    """A difference of accuracies in points with its interval."""
    if value.low == -float("inf"):
        return f"{PERCENT * value.mean:+.1f} [one target]"
    return f"{PERCENT * value.mean:+.1f} [{PERCENT * value.low:+.1f}, {PERCENT * value.high:+.1f}]"
