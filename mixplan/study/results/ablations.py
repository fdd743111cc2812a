"""Writes RESULTS.md's sections on a study's ablations: other numbers of features, readings and SAEs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mixplan.report.text import in_line, percent, whole
from mixplan.study.files.ablations import (
    Ablations,
    AblationsFile,
    AskedAblations,
    Concentration,
    DemonstrationsView,
    JudgedView,
    SaeView,
)
from mixplan.study.files.figure import Score, TargetMean
from mixplan.study.files.read import LookedInto
from mixplan.study.judged.overlap import mean_over_targets
from mixplan.study.judged.table import Table
from mixplan.study.results.figures import NAMES, NOTHING, figure, heading, lines, listed, side, table_of, told

PREDICTORS = ("sts_icl", "sts_act")

WORDS = """\
`overlap` is the share of N that the predicted drift dimensions (in-context learning's N largest shifts) have in common
with the actual ones (training's N largest); `chance` is what N blindly drawn live features would share with them.
`captured` is the part of everything training changed on the target that lies in the predicted N, `at most` the part in
the actual N, which no N features exceed; these have t intervals over targets. Correlations are over all targets, as in
the tables above; nothing is chosen here, and nothing was held out. The study's own setting is in bold. Intervals are of
each row by itself, not of differences between rows: they cannot tell which of two settings is better. Where a table has
it, `less own` can: the overlap less that of the study's own setting, target by target, with its t interval."""


PARTS = {
    "labelled": "targets' own features",
    "zeroing": "features taken out",
    "ablations": "other settings",
    "demonstrations": "numbers of demonstrations",
    "tokens": "numbers of tokens",
    "saes": "SAEs",
}


@dataclass(frozen=True)
class Setting:
    """One setting that the study was judged again with.

    Attributes:
        name: As it stands in a sentence.
        view: What it gave.
        own: Whether it is the study's own.
    """

    name: str
    view: JudgedView
    own: bool


def still_missing(asked: AskedAblations | None, seen: LookedInto, table: Table) -> Iterator[str]:
    """Say what the study's file asks to be looked into further and is not, or was before all of these seeds were there.

    Args:
        asked: The file's `ablations`; None where it has none.
        seen: What was looked into.
        table: The study's table.

    Yields:
        Markdown blocks; none where nothing is missing.
    """
    if not asked:
        return
    files = {"labelled": seen.labelled, "zeroing": seen.zeroing, "ablations": seen.ablations}
    missing = [PARTS[name] for name, file in files.items() if file is None]
    if found := seen.ablations:
        counts = {
            "demonstrations": (len(found.demonstrations), len(asked.demonstrations)),
            "tokens": (len(found.tokens), len(asked.tokens)),
            "saes": (len(found.saes), 1 + len(asked.saes) + len(asked.trained)),
        }
        missing += [f"{all_ - done} of {all_} {PARTS[name]}" for name, (done, all_) in counts.items() if done < all_]
    if missing:
        yield f"**Not finished: {listed(missing)} are still to be looked into.**"
    for name, one in (("labelled", seen.labelled), ("ablations", seen.ablations)):
        if one is not None and one.seeds != list(table.seeds):
            seeds = f"seed{'s' * (len(one.seeds) > 1)} {listed([str(seed) for seed in one.seeds])}"
            yield f"**Looked into on {seeds} alone: {PARTS[name]}.**"


def ablation_sections(
    ablations: AblationsFile | None, concentration: Concentration | None, table: Table
) -> Iterator[str]:
    """Write what changes when the study is judged again with one setting changed at a time.

    Args:
        ablations: What `ablate` gave; None where the study's file asked for none.
        concentration: The part of each cell's whole change in its N leading features, as saved.
        table: The study's table.

    Yields:
        Markdown blocks that show `features.svg` and `concentration.svg` (see `ablation_plots`).
    """
    if ablations:
        if ablations.features:
            yield from numbers_of_features(ablations)
        yield from other_settings(ablations, explained=bool(ablations.features))
    if concentration or (ablations and ablations.features):
        yield from concentrations(ablations, concentration, table)


def numbers_of_features(ablations: Ablations) -> Iterator[str]:
    """Whether predicted drift holds for any number of dimensions."""
    kept = ablations.kept.features
    settings = [Setting(f"N = {whole(one.features)}", one, one.features == kept) for one in ablations.features]
    yield heading("Does it depend on how many features count as drift dimensions?")
    yield f"**{beyond_chance(settings)}** {ends_sentence(settings)}"
    yield correlation_sentence(settings, ablations.quantity)
    yield "![Overlap with its chance, and correlations, against the number of drift dimensions](features.svg)"
    yield WORDS
    yield views_table("drift dimensions", settings)


def demonstrations_of(ablations: Ablations) -> list[Setting]:
    """Each number of demonstrations tried."""
    kept = ablations.kept.demonstrations
    return [
        Setting(counted(one.demonstrations, "demonstration"), one, one.demonstrations == kept)
        for one in ablations.demonstrations
    ]


def tokens_of(ablations: Ablations) -> list[Setting]:
    """Each part of the tokens tried."""
    return [
        Setting("all tokens" if one.tokens == 1 else f"{percent(one.tokens)} of the tokens", one, one.tokens == 1)
        for one in ablations.tokens
    ]


def sae_name(view: SaeView) -> str:
    """An SAE as it stands in a sentence."""
    return "the study's SAE" if view.sae is None else f"`{in_line(view.sae)}`"


def other_settings(ablations: AblationsFile, *, explained: bool) -> Iterator[str]:
    """Whether it matters how much is read, and through which SAE."""
    kept, own = ablations.kept, ablations.saes[0]
    saes = [Setting(sae_name(one), one, one.sae is None) for one in ablations.saes]
    for key, title, settings in (
        ("demonstrations", "Does it depend on the number of demonstrations?", demonstrations_of(ablations)),
        ("tokens", "Does it depend on how many tokens are read?", tokens_of(ablations)),
        ("saes", "Does it depend on the SAE?", saes),
    ):
        if all(one.own for one in settings):
            continue  # what the study itself did stands above
        yield heading(title)
        yield f"**{beyond_chance(settings)}** {ends_sentence(settings)}"
        if paired := [(one.name, overlap_less(one.view, own)) for one in settings if not one.own]:
            yield difference_sentence(paired)
        yield correlation_sentence(settings, ablations.quantity)
        if not explained:
            yield WORDS
            explained = True
        if key == "demonstrations" and (cut := cut_sentence(ablations.demonstrations)):
            yield cut
        if key == "tokens":
            read = f"{whole(kept.target_tokens)} question tokens of a target and {whole(kept.query_tokens)}"
            yield f"All tokens are {read} of each domain."
        yield views_table("setting", settings, own)
        if key == "saes":
            yield from sae_differences(ablations)


def sae_differences(ablations: AblationsFile) -> Iterator[str]:
    """What the SAEs are, and how those that were trained for this differ."""
    alike = trained_alike(ablations.saes, ablations.asked.trained)
    if alike:
        base, others = alike
        paired = [(sae_name(one), overlap_less(one, base)) for one in others]
        yield (
            f"All SAEs trained for this were trained as {sae_name(base)} was but for what each changed. "
            f"{difference_sentence(paired, sae_name(base))}"
        )
    yield saes_table(ablations.saes, alike)


def counted(number: int, thing: str) -> str:
    """A count with its thing."""
    return f"{whole(number)} {thing}{'' if number == 1 else 's'}"


def beyond_chance(settings: Sequence[Setting]) -> str:
    """Where the overlap is surely beyond chance, and where it is not."""
    tried = [one for one in settings if one.view.overlap.chance < 1]
    where: dict[str, list[str]] = {"above": [], "below": [], "unsure": []}
    for one in tried:
        where[side(one.view.overlap, one.view.overlap.chance)].append(one.name)
    said = []
    if tried and len(where["above"]) == len(tried):
        said.append(f"The overlap is surely beyond chance at every setting tried ({listed(where['above'])}).")
    else:
        found = f" ({listed(where['above'])})" if where["above"] else ""
        number = len(where["above"]) or "none"
        said.append(f"The overlap is surely beyond chance at {number} of {counted(len(tried), 'setting')}{found}.")
        if where["unsure"]:
            said.append(f"It is not surely so at {listed(where['unsure'])}.")
        if where["below"]:
            said.append(f"It is surely below chance at {listed(where['below'])}.")
    if whole_sae := [one.name for one in settings if one not in tried]:
        said.append(f"At {listed(whole_sae)} every live feature counts, so there is nothing to tell.")
    return " ".join(said)


def ends_sentence(settings: Sequence[Setting]) -> str:
    """The least and the largest overlap, where fewer than all live features count."""
    known = [
        (one.view.overlap.value, one)
        for one in settings
        if one.view.overlap.value is not None and one.view.overlap.chance < 1
    ]
    if not known:
        return "No overlap could tell anything."
    (_, least), (_, most) = (pick(known, key=lambda pair: pair[0]) for pick in (min, max))

    def end(one: Setting) -> str:
        return f"{figure(one.view.overlap)} where chance is {told(one.view.overlap.chance)} ({one.name})"

    if least is most:
        return f"It is {end(least)}."
    return f"Its share of N lies between {end(least)} and {end(most)}."


def overlap_less(one: JudgedView, other: JudgedView) -> TargetMean:
    """An overlap less another setting's, target by target; of the same number of features alone."""
    if one.features != other.features:
        return mean_over_targets(np.array([]))
    both = zip(one.overlap.by_target.values(), other.overlap.by_target.values(), strict=True)
    return mean_over_targets(np.array([a - b for a, b in both if a is not None and b is not None]))


def difference_sentence(paired: Sequence[tuple[str, TargetMean]], other: str = "the study's own setting") -> str:
    """At which settings the overlap is surely not that of another one."""
    found = []
    for which, word in (("above", "more"), ("below", "less")):
        found += [f"{word} at {name} ({figure(one, sign=True)})" for name, one in paired if side(one) == which]
    if found:
        return f"Target by target, surely {listed(found)} than with {other}."
    return f"Target by target, it is at no setting surely more or less than with {other}."


def trained_alike(
    views: Sequence[SaeView], trained: Mapping[str, Mapping[str, object]]
) -> tuple[SaeView, list[SaeView]] | None:
    """The SAE trained for this whose settings all others trained for it have but for what each changed, and those.

    They tell what a setting does: the study's own SAE may have been trained on more tokens than all of them.
    """
    plain = [one for one, has in trained.items() if all(has.items() <= other.items() for other in trained.values())]
    base = [view for view in views if view.sae in plain]
    others = [view for view in views if view.sae in trained and view.sae not in plain]
    return (base[0], others) if len(base) == 1 and others else None


def correlation_sentence(settings: Sequence[Setting], quantity: str) -> str:
    """The range of each score's pooled Pearson, and where it is surely above 0."""
    said = []
    for predictor in PREDICTORS:
        found = [(one.name, correlation(one.view, "pearson", predictor)) for one in settings]
        known = [(one.value, name, one) for name, one in found if one is not None and one.value is not None]
        if not known:
            said.append(f"that of `{predictor}` is not defined")
            continue
        least, most = (pick(known, key=lambda entry: entry[0]) for pick in (min, max))
        sure = sum(side(one) == "above" for _, _, one in known)
        ends = {name: one for _, name, one in (least, most)}
        span = " and ".join(f"{figure(one)} ({name})" for name, one in ends.items())
        lies = f"lies between {span}" if least is not most else f"is {span}"
        said.append(f"that of `{predictor}` {lies}, surely above 0 at {sure} of {len(known)}")
    return f"Pearson with {NAMES.get(quantity, quantity)}, all targets: {'; '.join(said)}."


def correlation(view: JudgedView, score: str, predictor: str) -> Score | None:
    """A score's figure over all targets, None where the quantity was measured nowhere."""
    return view.correlations.get("all", {}).get(score, {}).get(predictor)


def views_table(head: str, settings: Sequence[Setting], own: JudgedView | None = None) -> str:
    """Everything that was judged again, one row a setting, the study's own setting in bold."""
    rows = []
    for one in settings:
        overlap = one.view.overlap
        name = f"**{one.name}**" if one.own else one.name
        chance = f"{told(overlap.chance)} (one draw in 40 above {told(overlap.chance_high)})"
        scored = (figure(correlation(one.view, score, each)) for score in ("pearson", "centred") for each in PREDICTORS)
        less = [NOTHING if one.own else figure(overlap_less(one.view, own), sign=True)] if own else []
        parts = figure(one.view.captured), figure(one.view.concentration)
        rows.append((name, figure(overlap), *less, chance, *parts, *scored))
    scores = (f"{score} of `{one}`" for score in ("Pearson", "centred") for one in PREDICTORS)
    heads = (head, "overlap", *(["less own"] if own else []), "chance", "captured", "at most", *scores)
    return table_of(heads, rows)


def cut_sentence(views: Sequence[DemonstrationsView]) -> str:
    """How many demonstrations did not fit; nothing where all did."""
    cut = [f"{whole(one.dropped)} at {whole(one.demonstrations)} a question" for one in views if one.dropped]
    return f"Demonstrations left out because the model's window was too short for them: {listed(cut)}." if cut else ""


def saes_table(views: Sequence[SaeView], alike: tuple[SaeView, list[SaeView]] | None) -> str:
    """What the SAEs are, and how those trained alike but for one thing differ."""
    heads = ["setting", "reads at", "features", "active a token", "live features, fewest of a training", "N"]
    rows = []
    for one in views:
        row = [sae_name(one), f"`{in_line(one.hook_name)}`", whole(one.d_sae), told(one.active)]
        row += [whole(one.overlap.live), whole(one.features)]
        if alike:
            row.append(figure(overlap_less(one, alike[0]), sign=True) if one in alike[1] else NOTHING)
        rows.append(row)
    return table_of([*heads, *([f"overlap less that of {sae_name(alike[0])}"] if alike else [])], rows)


def concentrations(ablations: Ablations | None, concentration: Concentration | None, table: Table) -> Iterator[str]:
    """How few features hold what training changes."""
    yield heading("In how few features does a job's change lie?")
    if ablations and ablations.features:
        width = whole(ablations.saes[0].d_sae)
        held = [f"{figure(one.concentration)} in {whole(one.features)}" for one in ablations.features]
        yield f"**Of the whole change on a target, mean over targets, there lies {listed(held)} of {width} features.**"
        found = [f"{figure(one.captured)} in {whole(one.features)}" for one in ablations.features]
        yield f"In as many predicted ones: {listed(found)}."
        yield "![Part of the whole change in the leading features, one line a training](concentration.svg)"
    if concentration:
        shares, count = concentration.share, whole(concentration.features)
        least, most = (pick(shares, key=lambda name: float(shares[name])) for pick in (min, max))
        yield (
            f"The {count} features that each single training moved most hold between {told(shares[least])} "
            f"({in_line(least)}) and {told(shares[most])} ({in_line(most)}) of its whole change:"
        )
        rows = [(t, *(cell_share(shares, f"{t}-{seed}") for seed in table.seeds)) for t in table.targets]
        yield lines([table_of(("target", *(f"seed {seed}" for seed in table.seeds)), rows)])


def cell_share(shares: Mapping[str, float], name: str) -> str:
    """One cell's share."""
    return told(shares[name]) if name in shares else NOTHING
