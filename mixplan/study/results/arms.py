"""Writes RESULTS.md of a study of arms: what each mixture kept and what it avoided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mixplan.report.text import in_line
from mixplan.study.arms.judge import BASES, BOTH
from mixplan.study.asked.arms import LEARNED
from mixplan.study.files.arms import ArmFigure, ArmsResults, Avoided
from mixplan.study.files.registration import AskedArms, AskedStudy, Registered
from mixplan.study.judged.resample import FEWEST_TARGETS
from mixplan.study.results.figures import ASKED, NAMES, figure, heading, in_short, lines, listed, table_of
from mixplan.study.results.page import promised

METHOD = """\
Every training of a target has as many optimiser steps and the same target rows; all is paired by target, seed and item.
Loss is positive where a domain got worse; of behaviour, which has no better side, it is how far it moved. What an arm
avoids is the other arm's loss less its own; `worst` is each arm's own worst domain. Brackets are 95 % intervals over
targets, seeds and items together; win, tie and loss count targets by their own intervals over seeds and items."""

ONE_SEED = """\
**One training seed: a target's own interval, and what is called better or worse by it, holds items alone and not how
far another seed would land.**"""


def arms_markdown(study: Registered, judged: ArmsResults, *, command: str) -> str:
    """Write a study of arms' results.

    Args:
        study: As registered.
        judged: What `judge_arms` found.
        command: That writes the same again.
    """
    head = [
        f"# {in_line(study.study.title)}",
        "Written by the command below from the study's saved judgement; nothing here was typed in.",
        *missing(study, judged),
    ]
    asked = [heading(ASKED), *registration(study, judged, command)]
    parts = [
        *promised(judged.marks),
        *gains(judged),
        *(part for base in BASES if base in judged.avoided for part in against(judged, base)),
        *foreseen(judged),
        *response(judged),
        *relearned(judged),
        *each_target(judged),
        *limits(judged),
    ]
    return "\n\n".join([*head, *in_short(parts), *asked, *parts]) + "\n"


def missing(study: Registered, judged: ArmsResults) -> Iterator[str]:
    """What of the study is still missing, which stands above all answers."""
    asked = study.study.arms
    assert asked is not None  # what makes it a study of arms
    if left := list(unfinished(study.study, asked, judged)):
        yield f"**Not finished. Still missing here: {listed(left)}.**"
    if len(judged.seeds) == 1:
        yield ONE_SEED


def registration(study: Registered, judged: ArmsResults, command: str) -> Iterator[str]:
    """What was asked, by which command, and under which hash it was written down before the first training."""
    asked = study.study.arms
    assert asked is not None
    yield lines([f"- {in_line(question)}" for question in study.study.questions])
    yield f"```\n{command}\n```"
    libraries = ", ".join(f"{name} {version}" for name, version in study.libraries.items())
    steps = ", ".join(f"{target} {count}" for target, count in judged.steps.items())
    learned = f"{in_line(asked.evidence)}, each plan without its own target" if asked.evidence else "scores alone"
    yield table_of(
        ("", ""),
        [
            ("registered before the first training as", f"`{study.hash}`"),
            ("targets", ", ".join(judged.targets)),
            ("arms", ", ".join(judged.arms)),
            ("extra rows", ", ".join(judged.budgets)),
            ("training seeds", ", ".join(map(str, judged.seeds))),
            ("optimiser steps", steps),
            ("plans learn from", learned),
            ("mixplan and libraries", in_line(f"mixplan {study.mixplan}, {libraries}")),
        ],
    )
    yield METHOD


def unfinished(spec: AskedStudy, arms: AskedArms, judged: ArmsResults) -> Iterator[str]:
    """What of a study was not judged, in words."""
    for name, asked, there in (
        ("budgets", len(arms.budgets), len(judged.budgets)),
        ("seeds", len(spec.seeds), len(judged.seeds)),
        ("arms", len(arms.names), len(judged.arms)),
    ):
        if asked > there:
            yield f"{asked - there} of {asked} {name}"


def gains(judged: ArmsResults) -> Iterator[str]:
    """What each arm keeps of the target's gain."""
    yield heading("How much of the target's gain is kept?")
    if (plan := judged.kept["plan"][BOTH]).value is not None:
        yield f"**The plan keeps {figure(plan)} of what training on target rows alone gains.**"
    else:
        yield "**Not defined: on some target, training on target rows alone gained nothing for sure.**"
    columns = [*judged.budgets, BOTH]
    rows = [(arm, *(figure(found[name]) for name in columns)) for arm, found in judged.kept.items()]
    yield table_of(("share of the gain", *map(column, columns)), rows)


def column(name: str) -> str:
    """A budget's title."""
    return "mean of budgets" if name == BOTH else f"{name} rows"


def against(judged: ArmsResults, base: str) -> Iterator[str]:
    """What each arm avoids of a base arm's loss."""
    found = judged.avoided[base]
    quantities = judged.quantities
    yield heading(f"What is avoided against {base}?")
    if quantities and "plan" in found:
        first = quantities[0]
        yield f"**In {NAMES.get(first, first)} the plan is {told(found['plan'][first])}.**"
    yield from avoided_tables(judged, found)


def told(avoided: Avoided) -> str:
    """What an arm avoids on the mean and on the worst domain, in words."""
    return listed([f"{verdict(found[BOTH])} on the {part} domain" for part, found in avoided.parts()])


def avoided_tables(judged: ArmsResults, found: Mapping[str, Mapping[str, Avoided]]) -> Iterator[str]:
    """What arms avoid of a base arm's loss, a table for each quantity."""
    for quantity in judged.quantities:
        rows = [
            (
                arm,
                part,
                *(figure(by_budget[name], sign=True, digits=3) for name in columns(judged)),
                record(by_budget[BOTH]),
            )
            for arm, one in found.items()
            for part, by_budget in one[quantity].parts()
        ]
        heads = ("arm", "domain", *map(column, columns(judged)), "targets won, tied, lost")
        yield lines([f"{NAMES.get(quantity, quantity)}:", "", table_of(heads, rows)])


def columns(judged: ArmsResults) -> list[str]:
    """The budgets and their mean."""
    return [*judged.budgets, BOTH]


def verdict(entry: ArmFigure) -> str:
    """What a figure's interval says, in words."""
    words = {"win": "surely better", "loss": "surely worse", "tie": "not told apart", None: "not judged"}
    return f"{words[entry.verdict]} ({figure(entry, sign=True, digits=3)})"


def record(entry: ArmFigure) -> str:
    """How many targets won, tied and lost."""
    return ", ".join(map(str, (entry.win, entry.tie, entry.loss)))


def foreseen(judged: ArmsResults) -> Iterator[str]:
    """Whether plans said beforehand where an even spread does as well."""
    found = judged.foresight
    if found is None:
        return
    yield heading("Did the plans foresee where an even spread does as well?")
    counts, quantity = found.counts, found.quantity
    as_well = counts.said.as_well + counts.unsaid.as_well
    better = counts.said.better + counts.unsaid.better
    yield (
        f"**In {as_well} of {as_well + better} comparisons the plan was not surely better than an even spread; it had "
        f"said so before training in {counts.said.as_well} of these, and in {counts.said.better} of the "
        f"{better} others.**"
    )
    rows = [
        (
            one.target,
            one.budget,
            "may do as well" if one.said else "does worse",
            *(figure(each, sign=True, digits=3) for each in (one.mean, one.worst)),
            "better" if one.better else "not surely better",
        )
        for one in found.comparisons
    ]
    heads = ("target", "rows", "an even spread, by the plan", "mean loss avoided", "worst loss avoided", "the plan was")
    yield f"Losses in {NAMES.get(quantity, quantity)}; intervals over seeds and items."
    yield table_of(heads, rows)


def response(judged: ArmsResults) -> Iterator[str]:
    """The amount of rows that halves a loss."""
    found = judged.response
    if found is None:
        return
    yield heading("How many rows halve a domain's loss?")
    yield in_line(found.text)


def relearned(judged: ArmsResults) -> Iterator[str]:
    """What plans are worth that learned from the other targets' arms what halves a loss."""
    if LEARNED not in judged.arms or not judged.quantities:
        return
    yield heading("Does it help to learn what halves a loss?")
    found, comparisons, first = judged.avoided["plan"], judged.learned or [], judged.quantities[0]
    even = sum(one.from_uniform == 0 for one in comparisons)
    yield (
        f"**In {NAMES.get(first, first)} the plan that learned it from the other targets' arms is, against the plan "
        f"that did not, {told(found[LEARNED][first])}; {even} of its {len(comparisons)} mixtures are an even spread.**"
    )
    yield from avoided_tables(judged, found)
    texts = {one.target: one.text for one in comparisons}
    yield lines([f"- {target}: {in_line(text)}" for target, text in texts.items()])
    rows = [
        (
            one.target,
            one.budget,
            str(one.from_plan),
            str(one.from_uniform),
            "may do as well" if one.said else "does worse",
            *(figure(each, sign=True, digits=3) for each in (one.mean, one.worst)),
        )
        for one in comparisons
    ]
    away = ("rows elsewhere than in the plan", "than in an even spread")
    heads = ("target", "rows", *away, "an even spread, by it", "mean loss avoided", "worst loss avoided")
    yield f"Target by target, losses in {NAMES.get(first, first)}; intervals over seeds and items."
    yield table_of(heads, rows)


def each_target(judged: ArmsResults) -> Iterator[str]:
    """Every arm's own figures, target by target."""
    if not judged.quantities:
        return
    yield heading("Target by target")
    first = judged.quantities[0]
    rows = [
        (
            target,
            budget,
            arm,
            figure(one.gain, sign=True, digits=3),
            figure(one.kept),
            figure(one.loss[first].mean, sign=True, digits=3),
            figure(one.loss[first].worst, sign=True, digits=3),
            one.loss[first].worst_domain,
        )
        for target, budgets in judged.by_target.items()
        for budget, arms in budgets.items()
        for arm, one in arms.items()
    ]
    yield f"Losses in {NAMES.get(first, first)}; intervals over seeds and items."
    yield table_of(("target", "rows", "arm", "gain", "kept", "mean loss", "worst loss", "worst domain"), rows)


def limits(judged: ArmsResults) -> Iterator[str]:
    """What these figures cannot say."""
    yield heading("Limits")
    count, seeds = len(judged.targets), len(judged.seeds)
    known = (
        "the spread between so few is badly known, and intervals over them are wide for it (Student's t with one "
        "degree of freedom less than targets)."
        if count >= FEWEST_TARGETS
        else f"too few for intervals over them, which take {FEWEST_TARGETS}, so that nothing is judged here."
    )
    points = [
        f"One model, one SAE and {count} targets: {known}",
        "Targets were chosen, not drawn: intervals are over targets like these.",
        "Each arm's worst domain is the worst of noisy means, so worst losses are a little too large in every arm.",
    ]
    if seeds == 1:
        points.append("One training seed: the intervals hold no spread over seeds.")
    yield lines([f"- {point}" for point in points])
