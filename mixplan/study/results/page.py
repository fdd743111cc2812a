"""Writes RESULTS.md of a study from its judgement and table: each question's answer, then its figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mixplan.report.text import in_line, percent, whole
from mixplan.study.files.figure import Bounded, Estimated, JudgedMark
from mixplan.study.files.judgement import Differences, Least, Results, Specific
from mixplan.study.files.read import LookedInto
from mixplan.study.files.registration import Registered
from mixplan.study.judged.table import Table
from mixplan.study.results.ablations import ablation_sections, still_missing
from mixplan.study.results.figures import ASKED, NAMES, figure, heading, in_short, lines, side, signed, table_of, told
from mixplan.study.results.forecasts import learned_section
from mixplan.study.results.kinds import CENTRED, by_kind
from mixplan.study.results.target_features import labelled_section, zeroing_section

HEADLINE = "kl"
SCORES = {
    "pearson": "Pearson",
    "spearman": "Spearman",
    "log_pearson": "Pearson of logarithms",
    "centred": "centred",
    "r2": "R²",
    "top3": "top-3 hits",
}
SETS = {"held_out": "held-out targets", "development": "development targets", "all": "all targets"}

METHOD = """\
A predictor is held against the size of a domain's change: the size of its mean over seeds. Scores are taken within each
target over its domains and averaged over targets. `centred` takes target and domain means out of the logarithms first:
what is left is which domain this target moves more than it moves others and more than other targets do. Brackets are
95 % intervals over targets and domains together (crossed jackknife; of top-3 hits over targets alone); reruns alone
never make one narrower. R² has none: squares of noisy correlations are too large on average. "Surely" is said where a
whole interval lies on one side."""


def results_markdown(study: Registered, judged: Results, table: Table, further: LookedInto, *, command: str) -> str:
    """Write a study's results.

    Args:
        study: As registered.
        judged: What `judge` found.
        table: The study's table.
        further: What was looked into beyond the judgement. What is not there has no section.
        command: That writes the same again.

    Returns:
        Markdown that shows the pictures from beside it (see `plots` and `ablation_plots`).
    """
    main = HEADLINE if HEADLINE in judged.cells else next(iter(judged.cells))
    head = [
        f"# {in_line(study.study.title)}",
        "Written by the command below from the study's saved judgement; nothing here was typed in.",
        *unfinished(study, table, further),
    ]
    asked = [heading(ASKED), *registration(study, judged, table, command)]
    parts = [
        *promised(judged.marks),
        *predicted(judged, table, main),
        *beyond(judged, table, main),
        *learned_section(judged.learned),
        *by_kind(judged, table, main),
        *other_measures(judged, table, main),
        *overlaps(judged),
        *ablation_sections(further.ablations, further.concentration, table),
        *zeroing_section(further.zeroing),
        *labelled_section(further.labelled),
        *directions(judged),
        *noise(judged, table),
        *each_target(judged, table, main),
        *limits(judged, table, main),
    ]
    return "\n\n".join([*head, *in_short(parts), *asked, *parts]) + "\n"


def unfinished(study: Registered, table: Table, seen: LookedInto) -> Iterator[str]:
    """What of the study is still missing, which stands above all answers."""
    if missing := len(study.study.seeds) - len(table.seeds):
        yield f"**Not finished: {missing} of {len(study.study.seeds)} training seeds are still missing here.**"
    yield from still_missing(study.study.ablations, seen, table)


def registration(study: Registered, judged: Results, table: Table, command: str) -> Iterator[str]:
    """What was asked, by which command, and under which hash it was written down before the first training."""
    yield lines([f"- {in_line(question)}" for question in study.study.questions])
    yield f"```\n{command}\n```"
    libraries = ", ".join(f"{name} {version}" for name, version in study.libraries.items())
    sets = judged.sets
    yield table_of(
        ("", ""),
        [
            ("registered before the first training as", f"`{study.hash}`"),
            ("targets that choices were made on", ", ".join(sets.get("development", ())) or "none"),
            ("targets held out", ", ".join(sets.get("held_out", ())) or "none"),
            (f"domains ({len(table.domains)})", ", ".join(table.domains)),
            ("training seeds", ", ".join(map(str, table.seeds))),
            ("seed of the bootstrap, resamples", f"{judged.seed}, {whole(judged.resamples)}"),
            ("mixplan and libraries", in_line(f"mixplan {study.mixplan}, {libraries}")),
        ],
    )
    yield METHOD


def promised(marks: Sequence[JudgedMark]) -> Iterator[str]:
    """The marks: which were reached."""
    if not marks:
        return
    reached = sum(mark.reached for mark in marks)
    yield heading("Did it reach what was promised?")
    yield f"**{reached} of {len(marks)} marks were reached.**"
    rows = [
        (
            in_line(mark.text),
            asked(mark),
            figure(mark),
            "**reached**" if mark.reached else "not reached",
        )
        for mark in marks
    ]
    yield table_of(("mark", "promised", "found", ""), rows)


def asked(mark: JudgedMark) -> str:
    """What a mark asks of its figure."""
    bounds = (("at least", mark.at_least), ("interval above", mark.low_above))
    return " and ".join(f"{said} {bound:g}" for said, bound in bounds if bound is not None)


def predicted(judged: Results, table: Table, quantity: str) -> Iterator[str]:
    """Whether forecasts that cost no training say which domains move."""
    yield heading("Do forecasts that cost no training say which domains move?")
    yield chosen_sentence(judged, quantity, "pearson")
    yield "![Each predictor's pooled Pearson correlation with its interval](pooled.svg)"
    yield from (
        lines([f"With {NAMES.get(quantity, quantity)}, {SETS[part]}:", "", pooled_table(judged, table, part, quantity)])
        for part in SETS
        if quantity in judged.pooled.get(part, {})
    )
    yield "![Predicted against measured change, one panel a target](cells.svg)"


def chosen_sentence(judged: Results, quantity: str, score: str) -> str:
    """Which forecast was chosen, on what, and what it then did."""
    choice = judged.chosen.get(quantity, {}).get(score)
    if choice is None:
        none = "none has that score on the targets that choices are made on"
        return f"**By {SCORES[score]} no forecast was chosen: {none}.**"
    what = f"**Chosen of {choice.candidates} forecasts by its {SCORES[score]} score: `{choice.forecast}`.**"
    if choice.chosen_on == "all":
        return f"{what} It was chosen on the very targets it is judged on, so its {figure(choice.all)} is flattered."
    return (
        f"{what} On the development targets it has {figure(choice.development)}, on the held-out targets, which had "
        f"no part in the choice, {figure(choice.held_out)}, on all {figure(choice.all)}."
    )


def pooled_table(judged: Results, table: Table, part: str, quantity: str) -> str:
    """Every predictor's pooled scores, best Pearson first."""
    pooled = judged.pooled[part][quantity]
    first = pooled["pearson"]
    values = {name: score.value for name, score in first.items()}
    order = sorted(first, key=lambda name: -(-2 if (value := values[name]) is None else value))
    rows = [(f"`{name}`", role(table, name), *(figure(pooled[score][name]) for score in SCORES)) for name in order]
    return table_of(("predictor", "", *SCORES.values()), rows)


def role(table: Table, name: str) -> str:
    """What a predictor is here."""
    if name in table.bounds:
        return "needs the trained model"
    return "competitor" if name in table.competitors else "forecast"


def beyond(judged: Results, table: Table, quantity: str) -> Iterator[str]:
    """What the forecast adds to what is cheap, and to how movable a domain is anyway."""
    yield heading("Is it ahead of what is cheap, and of how movable a domain is anyway?")
    part = "held_out" if "held_out" in judged.differences else "all"
    differences = judged.differences.get(part, {}).get(quantity, {})
    for score in ("pearson", "centred"):
        found = differences.get(score, {})
        least = found.get("least")
        if not isinstance(least, Least):
            continue
        better = [name for name in table.competitors if side(less(found, name)) == "above"]
        yield (
            f"**By {SCORES[score]}, `{judged.chosen[quantity][score].forecast}` is surely ahead of {len(better)} "
            f"of {len(table.competitors)} competitors** on the {SETS[part]}; the strongest is `{least.competitor}`, "
            f"from which it differs by {signed(least.value)}."
        )
    named = [score for score in SCORES if score in differences]
    rows = [
        (f"`{name}`", role(table, name), *(figure(less(differences[score], name), sign=True) for score in named))
        for name in (*table.competitors, *table.bounds)
    ]
    if rows and named:
        heads = [f"{SCORES[s]} (`{judged.chosen[quantity][s].forecast}`)" for s in named]
        yield lines([f"The chosen forecast less each, paired, {SETS[part]}:", "", table_of(("less", "", *heads), rows)])
    yield chosen_sentence(judged, quantity, "centred")
    yield CENTRED


def less(differences: Differences, name: str) -> Estimated:
    """The chosen forecast less a predictor."""
    found = differences[name]
    assert isinstance(found, Estimated)  # only under `least` stands anything else, which no predictor is called
    return found


def other_measures(judged: Results, table: Table, main: str) -> Iterator[str]:
    """The chosen forecasts of the other measures, then every predictor's Pearson."""
    others = [quantity for quantity in judged.cells if quantity != main and judged.chosen.get(quantity)]
    if not others:
        return
    yield heading("And with the other measures?")
    for quantity in others:
        yield f"{NAMES.get(quantity, quantity)}: {chosen_sentence(judged, quantity, 'pearson')}"
    pooled = judged.pooled["all"]
    rows = [
        (f"`{name}`", *(figure(pooled[quantity]["pearson"][name]) for quantity in others)) for name in table.predictors
    ]
    yield table_of(("Pearson, all targets", *(NAMES.get(quantity, quantity) for quantity in others)), rows)


def overlaps(judged: Results) -> Iterator[str]:
    """How many predicted drift dimensions are among the actual ones."""
    variants = judged.overlap.variants
    if not variants:
        return
    yield heading("How many predicted drift dimensions does training move?")
    choice = judged.overlap.chosen
    if choice:
        found = variants[choice.variant]
        yield (
            f"**`{choice.variant}`, chosen of {choice.candidates} on {SETS[choice.chosen_on]}, has "
            f"{figure(choice.of(choice.last), digits=1)} of {found.features} on {SETS[choice.last]}; "
            f"chance is {found.chance:.1f}.**"
        )
    rows = [
        (
            f"`{name}`",
            figure(found.all, digits=1),
            *(figure(one, digits=1) for one in (found.development, found.held_out) if one is not None),
            f"{found.chance:.1f} (one run in 40 above {found.chance_high:.0f})",
            f"{found.features} of {whole(found.live)}",
        )
        for name, found in variants.items()
    ]
    first = next(iter(variants.values()))
    parts = [SETS[part] for part in ("development", "held_out") if first.of(part) is not None]
    yield table_of(("predicted by", "all targets", *parts, "chance", "dimensions"), rows)
    yield from specific(judged.specific)


def specific(found: Specific | None) -> Iterator[str]:
    """How much of an overlap is the target's own, and what any prediction could have at most."""
    if found is None:
        return
    count, seeds = found.features, found.between_seeds
    alike = f"Two trainings of one target that differ in their seed alone share {figure(seeds, digits=1)} of {count}: "
    ends = f"{alike}no prediction can be expected to share more. " if seeds.value is not None else ""
    yield (
        f"{ends}Trainings of two targets share {figure(found.between_targets, digits=1)}, so chance is not all that "
        "a prediction has to beat. Held against what the other targets' trainings moved:"
    )
    rows = [
        (f"`{name}`", figure(one.elsewhere, digits=1), figure(one.more, sign=True, digits=1))
        for name, one in found.variants.items()
    ]
    yield table_of(("predicted by", "shared with other targets' drift", "with its own target's, more by"), rows)


def directions(judged: Results) -> Iterator[str]:
    """Whether a gain is told from a loss."""
    found = judged.sign
    if found.all is None:
        return
    yield heading("Does it tell a gain from a loss?")
    for quantity, choice in (found.chosen or {}).items():
        part, one = choice.last, choice.of(choice.last)
        name = NAMES.get(quantity, quantity)
        if one is None or not one.moved:
            yield f"{name}: no cell surely moved on {SETS[part]}, so no direction can be judged."
            continue
        yield (
            f"**{name}: `{choice.forecast}`, chosen on {SETS[choice.chosen_on]}, is right "
            f"for {figure(one.right)} of {one.moved} cells that surely moved** on {SETS[part]} "
            f"({one.improved} of them for the better); always saying loss is right for "
            f"{figure(one.always_loss)}. The difference is "
            f"{figure(one.ahead, sign=True)}, balanced accuracy {figure(one.balanced)}."
        )
    for quantity, signs in found.all.items():
        if not any(one.moved for one in signs.values()):
            continue
        rows = [
            (
                f"`{name}`",
                str(one.moved),
                *(figure(one.right), figure(one.always_loss), figure(one.ahead, sign=True), figure(one.balanced)),
            )
            for name, one in signs.items()
        ]
        heads = ("forecast", "cells moved", "right", "always loss", "ahead by", "balanced")
        yield lines([f"{NAMES.get(quantity, quantity)}, all targets:", "", table_of(heads, rows)])


def noise(judged: Results, table: Table) -> Iterator[str]:
    """Whether domains differ by more than noise."""
    yield heading("Do domains differ by more than noise?")
    yield (
        "`ceiling` is the correlation that a perfect forecast would have with changes measured this noisily: the root "
        "of the share of the variance between domains that items and seeds do not explain."
    )
    rows = []
    for quantity, floor in judged.noise.items():
        counts = [count for count in table.items.get(quantity, ()) if count]
        items = f"{min(counts)} to {max(counts)}" if counts else "–"
        spreads = (floor.between_domains, floor.item_error, floor.seed_sd, floor.error)
        shares = (floor.reliability, floor.ceiling)
        rows.append((NAMES.get(quantity, quantity), items, *map(told, (*spreads, *shares))))
    heads = ("items", "sd between domains", "error by items", "sd over seeds", "error", "reliability", "ceiling")
    yield table_of(("measure", *heads), rows)


def each_target(judged: Results, table: Table, quantity: str) -> Iterator[str]:
    """The chosen forecast and the paper's scores, target by target."""
    choice = judged.chosen.get(quantity, {}).get("pearson")
    names = [name for name in (choice and choice.forecast, "sts_icl", "sts_act") if name in table.predictors]
    if not names:
        return
    yield heading("Target by target")
    rows = []
    for target, found in judged.by_target[quantity].items():
        held = "held out" if target in table.held_out else "development"
        for name in dict.fromkeys(names):
            one = found[name]
            between = Bounded(value=one.pearson, low=one.pearson_low, high=one.pearson_high)
            rank = Bounded(value=one.spearman, low=one.spearman_low, high=one.spearman_high)
            cells = (figure(between), figure(rank), told(one.r2), told(one.top3), str(one.domains))
            rows.append((target, held, f"`{name}`", *cells))
    yield table_of(("target", "", "predictor", "Pearson", "Spearman", "R²", "top-3 hits", "domains"), rows)


def limits(judged: Results, table: Table, quantity: str) -> Iterator[str]:
    """What these figures cannot say."""
    yield heading("Limits")
    held_out = len(judged.sets.get("held_out", ()))
    points: Sequence[str] = [
        f"One model, one SAE, {len(table.targets)} targets and {len(table.domains)} domains: intervals are over "
        "targets and domains like these, not over models.",
        f"{held_out} targets had no part in any choice; intervals over so few are wide, and are given so.",
        "A table of many predictors has a best one by chance: only the one chosen on the development targets is judged "
        "free of that, and only on the held-out targets.",
        "Pigeonhole bootstrap intervals (Owen 2007) of the same figures are in results.json for comparison.",
    ]
    single = ["One training seed: the errors hold no spread over seeds."] if len(table.seeds) == 1 else []
    missing = missing_share(judged, quantity)
    text = (
        f"{percent(missing)} of cells have no {NAMES.get(quantity, quantity)}, such as a target's own data as a domain."
    )
    absent = [text] if missing else []
    yield lines([f"- {point}" for point in (*points, *single, *absent)])


def missing_share(judged: Results, quantity: str) -> float:
    """Share of a measure's cells that were not measured."""
    changes = judged.cells[quantity].change
    every = [value for row in changes for value in row]
    return sum(value is None for value in every) / len(every)
