"""Writes RESULTS.md's sections on a study's ablations: other numbers of features, readings and SAEs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mixplan.report.text import in_line, percent, whole
from mixplan.study.judged.overlap import mean_over_targets
from mixplan.study.judged.table import Table
from mixplan.study.results.figures import NAMES, NOTHING, figure, heading, lines, listed, side, table_of, told

Entry = Mapping[str, Any]

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


def still_missing(asked: Entry | None, seen: Entry, table: Table) -> Iterator[str]:
    """Say what the study's file asks to be looked into further and is not, or was before all of these seeds were there.

    Args:
        asked: The file's `ablations`; None where it has none.
        seen: What was looked into, by name, as saved.
        table: The study's table.

    Yields:
        Markdown blocks; none where nothing is missing.
    """
    if not asked:
        return
    missing = [PARTS[name] for name in ("labelled", "zeroing", "ablations") if name not in seen]
    if found := seen.get("ablations"):
        wanted = {name: len(asked[name]) for name in ("demonstrations", "tokens")}
        wanted["saes"] = 1 + len(asked["saes"]) + len(asked["trained"])
        missing += [f"{w - len(found[n])} of {w} {PARTS[n]}" for n, w in wanted.items() if len(found[n]) < w]
    if missing:
        yield f"**Not finished: {listed(missing)} are still to be looked into.**"
    judged = list(table.seeds)
    for name in ("labelled", "ablations"):
        if name in seen and seen[name]["seeds"] != judged:
            seeds = f"seed{'s' * (len(seen[name]['seeds']) > 1)} {listed([str(one) for one in seen[name]['seeds']])}"
            yield f"**Looked into on {seeds} alone: {PARTS[name]}.**"


def ablation_sections(ablations: Entry | None, concentration: Entry | None, table: Table) -> Iterator[str]:
    """Write what changes when the study is judged again with one setting changed at a time.

    Args:
        ablations: What `study.ablations` gave; None where the study's file asked for none.
        concentration: The part of each cell's whole change in its N leading features, as saved.
        table: The study's table.

    Yields:
        Markdown blocks that show `features.svg` and `concentration.svg` (see `study_further_plots`).
    """
    if ablations:
        if ablations["features"]:
            yield from numbers_of_features(ablations)
        yield from other_settings(ablations, explained=bool(ablations["features"]))
    if concentration or (ablations and ablations["features"]):
        yield from concentrations(ablations, concentration, table)


def numbers_of_features(ablations: Entry) -> Iterator[str]:
    """Whether predicted drift holds for any number of dimensions."""
    entries = ablations["features"]
    yield heading("Does it depend on how many features count as drift dimensions?")
    yield f"**{beyond_chance(entries, features_name)}** {ends_sentence(entries, features_name)}"
    yield correlation_sentence(entries, ablations["quantity"], features_name)
    yield "![Overlap with its chance, and correlations, against the number of drift dimensions](features.svg)"
    yield WORDS
    kept = ablations["kept"]["features"]
    yield views_table("drift dimensions", entries, features_name, lambda entry: entry["features"] == kept)


def other_settings(ablations: Entry, *, explained: bool) -> Iterator[str]:
    """Whether it matters how much is read, and through which SAE."""
    kept = ablations["kept"]
    settings: tuple[tuple[str, str, Callable[[Entry], str], Callable[[Entry], bool]], ...] = (
        (
            "demonstrations",
            "Does it depend on the number of demonstrations?",
            lambda entry: counted(entry["demonstrations"], "demonstration"),
            lambda entry: entry["demonstrations"] == kept["demonstrations"],
        ),
        (
            "tokens",
            "Does it depend on how many tokens are read?",
            lambda entry: "all tokens" if entry["tokens"] == 1 else f"{percent(entry['tokens'])} of the tokens",
            lambda entry: entry["tokens"] == 1,
        ),
        (
            "saes",
            "Does it depend on the SAE?",
            lambda entry: "the study's SAE" if entry["sae"] is None else f"`{in_line(entry['sae'])}`",
            lambda entry: entry["sae"] is None,
        ),
    )
    for key, title, name, is_own in settings:
        entries = ablations[key]
        if all(is_own(entry) for entry in entries):
            continue  # what the study itself did stands above
        yield heading(title)
        yield f"**{beyond_chance(entries, name)}** {ends_sentence(entries, name)}"
        own = ablations["saes"][0]
        if paired := [(name(entry), overlap_less(entry, own)) for entry in entries if not is_own(entry)]:
            yield difference_sentence(paired)
        yield correlation_sentence(entries, ablations["quantity"], name)
        if not explained:
            yield WORDS
            explained = True
        if key == "demonstrations" and (cut := cut_sentence(entries)):
            yield cut
        if key == "tokens":
            read = f"{whole(kept['target_tokens'])} question tokens of a target and {whole(kept['query_tokens'])}"
            yield f"All tokens are {read} of each domain."
        yield views_table("setting", entries, name, is_own, own)
        if key == "saes":
            alike = trained_alike(entries, ablations["asked"].get("trained", {}))
            if alike:
                base, others = alike
                paired = [(name(entry), overlap_less(entry, base)) for entry in others]
                yield (
                    f"All SAEs trained for this were trained as {name(base)} was but for what each changed. "
                    f"{difference_sentence(paired, name(base))}"
                )
            yield saes_table(entries, name, alike)


def features_name(entry: Entry) -> str:
    """A number of features as it stands in a sentence."""
    return f"N = {whole(entry['features'])}"


def counted(number: int, thing: str) -> str:
    """A count with its thing."""
    return f"{whole(number)} {thing}{'' if number == 1 else 's'}"


def beyond_chance(entries: Sequence[Entry], name: Callable[[Entry], str]) -> str:
    """Where the overlap is surely beyond chance, and where it is not."""
    tried = [entry for entry in entries if entry["overlap"]["chance"] < 1]
    where: dict[str, list[str]] = {"above": [], "below": [], "unsure": []}
    for entry in tried:
        where[side(entry["overlap"], entry["overlap"]["chance"])].append(name(entry))
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
    if whole_sae := [name(entry) for entry in entries if entry not in tried]:
        said.append(f"At {listed(whole_sae)} every live feature counts, so there is nothing to tell.")
    return " ".join(said)


def ends_sentence(entries: Sequence[Entry], name: Callable[[Entry], str]) -> str:
    """The least and the largest overlap, where fewer than all live features count."""
    known = [entry for entry in entries if entry["overlap"]["value"] is not None and entry["overlap"]["chance"] < 1]
    if not known:
        return "No overlap could tell anything."
    least, most = (pick(known, key=lambda entry: float(entry["overlap"]["value"])) for pick in (min, max))
    if least is most:
        return f"It is {figure(least['overlap'])} where chance is {told(least['overlap']['chance'])} ({name(least)})."
    ends = (
        f"{figure(one['overlap'])} where chance is {told(one['overlap']['chance'])} ({name(one)})"
        for one in (least, most)
    )
    return f"Its share of N lies between {' and '.join(ends)}."


def overlap_less(entry: Entry, other: Entry) -> Entry:
    """An overlap less another setting's, target by target; of the same number of features alone."""
    if entry["features"] != other["features"]:
        return mean_over_targets(np.array([]))
    both = zip(entry["overlap"]["by_target"].values(), other["overlap"]["by_target"].values(), strict=True)
    return mean_over_targets(np.array([one - two for one, two in both if one is not None and two is not None]))


def difference_sentence(paired: Sequence[tuple[str, Entry]], other: str = "the study's own setting") -> str:
    """At which settings the overlap is surely not that of another one."""
    found = []
    for which, word in (("above", "more"), ("below", "less")):
        found += [f"{word} at {name} ({figure(one, sign=True)})" for name, one in paired if side(one) == which]
    if found:
        return f"Target by target, surely {listed(found)} than with {other}."
    return f"Target by target, it is at no setting surely more or less than with {other}."


def trained_alike(entries: Sequence[Entry], trained: Mapping[str, Entry]) -> tuple[Entry, list[Entry]] | None:
    """The SAE trained for this whose settings all others trained for it have but for what each changed, and those.

    They tell what a setting does: the study's own SAE may have been trained on more tokens than all of them.
    """
    plain = [one for one, has in trained.items() if all(has.items() <= other.items() for other in trained.values())]
    base = [entry for entry in entries if entry["sae"] in plain]
    others = [entry for entry in entries if entry["sae"] in trained and entry["sae"] not in plain]
    return (base[0], others) if len(base) == 1 and others else None


def correlation_sentence(entries: Sequence[Entry], quantity: str, name: Callable[[Entry], str]) -> str:
    """The range of each score's pooled Pearson, and where it is surely above 0."""
    said = []
    for predictor in PREDICTORS:
        found = [(name(entry), correlation(entry, "pearson", predictor)) for entry in entries]
        known = [(where, one) for where, one in found if one and one["value"] is not None]
        if not known:
            said.append(f"that of `{predictor}` is not defined")
            continue
        least, most = (pick(known, key=lambda pair: float(pair[1]["value"])) for pick in (min, max))
        sure = sum(side(one) == "above" for _, one in known)
        span = " and ".join(f"{figure(one)} ({where})" for where, one in dict([least, most]).items())
        lies = f"lies between {span}" if least is not most else f"is {span}"
        said.append(f"that of `{predictor}` {lies}, surely above 0 at {sure} of {len(known)}")
    return f"Pearson with {NAMES.get(quantity, quantity)}, all targets: {'; '.join(said)}."


def correlation(entry: Entry, score: str, predictor: str) -> Entry | None:
    """A score's figure over all targets, None where the quantity was measured nowhere."""
    found: Entry | None = entry["correlations"].get("all", {}).get(score, {}).get(predictor)
    return found


def views_table(
    head: str,
    entries: Sequence[Entry],
    name: Callable[[Entry], str],
    is_own: Callable[[Entry], bool],
    own: Entry | None = None,
) -> str:
    """Everything that was judged again, one row a setting, the study's own setting in bold."""
    rows = []
    for entry in entries:
        overlap = entry["overlap"]
        setting = f"**{name(entry)}**" if is_own(entry) else name(entry)
        chance = f"{told(overlap['chance'])} (one draw in 40 above {told(overlap['chance_high'])})"
        scored = (figure(correlation(entry, score, one)) for score in ("pearson", "centred") for one in PREDICTORS)
        less = [NOTHING if is_own(entry) else figure(overlap_less(entry, own), sign=True)] if own else []
        parts = figure(entry["captured"]), figure(entry["concentration"])
        rows.append((setting, figure(overlap), *less, chance, *parts, *scored))
    scores = (f"{score} of `{one}`" for score in ("Pearson", "centred") for one in PREDICTORS)
    heads = (head, "overlap", *(["less own"] if own else []), "chance", "captured", "at most", *scores)
    return table_of(heads, rows)


def cut_sentence(entries: Sequence[Entry]) -> str:
    """How many demonstrations did not fit; nothing where all did."""
    cut = [f"{whole(one['dropped'])} at {whole(one['demonstrations'])} a question" for one in entries if one["dropped"]]
    return f"Demonstrations left out because the model's window was too short for them: {listed(cut)}." if cut else ""


def saes_table(entries: Sequence[Entry], name: Callable[[Entry], str], alike: tuple[Entry, list[Entry]] | None) -> str:
    """What the SAEs are, and how those trained alike but for one thing differ."""
    heads = ["setting", "reads at", "features", "active a token", "live features, fewest of a training", "N"]
    rows = []
    for entry in entries:
        live = whole(entry["overlap"]["live"])
        row = [name(entry), f"`{in_line(entry['hook_name'])}`", whole(entry["d_sae"]), told(entry["active"]), live]
        row.append(whole(entry["features"]))
        if alike:
            row.append(figure(overlap_less(entry, alike[0]), sign=True) if entry in alike[1] else NOTHING)
        rows.append(row)
    return table_of([*heads, *([f"overlap less that of {name(alike[0])}"] if alike else [])], rows)


def concentrations(ablations: Entry | None, concentration: Entry | None, table: Table) -> Iterator[str]:
    """How few features hold what training changes."""
    yield heading("In how few features does a job's change lie?")
    if ablations and ablations["features"]:
        width = whole(ablations["saes"][0]["d_sae"])
        held = [f"{figure(one['concentration'])} in {whole(one['features'])}" for one in ablations["features"]]
        yield f"**Of the whole change on a target, mean over targets, there lies {listed(held)} of {width} features.**"
        found = [f"{figure(one['captured'])} in {whole(one['features'])}" for one in ablations["features"]]
        yield f"In as many predicted ones: {listed(found)}."
        yield "![Part of the whole change in the leading features, one line a training](concentration.svg)"
    if concentration:
        shares, count = concentration["share"], whole(concentration["features"])
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
