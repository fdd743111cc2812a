"""Says in plain sentences what a job did and how right its plan was, bad news as plain as good."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mixplan.outcome.units import change_text, counted, headline_change, title, value_text
from mixplan.saved.arms import Arms, Pair, Verdict
from mixplan.saved.base_types import Interval
from mixplan.saved.outcome import Domain, Drift, Floor, Judgement, Measured, Outcome
from mixplan.saved.scores import SCORE_KEYS, SCORE_TITLES, ScoreName
from mixplan.saved.tolerances import Gate, Held

PREDICTOR_NAMES = {
    "sts_icl": "STS_ICL",
    "sts_act": "STS_act",
    "preview_kl": "preview KL",
    "behind_answers_raw": "stream shift",
    "raw_icl": "the raw activations' shift",
    "raw_act": "the raw activations",
    "low_shift": "the low-shift features",
    "total_shift": "the whole shift",
    "outside_shift": "the shift outside the drift dimensions",
}
TITLES_INSTEAD = {"behaviour": "how far behaviour moved", "likelihood": "bits per byte of the reference answers"}
ONCE = (
    "Each mixture was trained once, so that these intervals are over items and do not hold how trainings differ, which "
    "may be several times as much: `mixplan compare --seeds 3` measures it."
)
NAMED = 3
"""Domains named in one sentence."""


def summarise(outcome: Outcome) -> list[str]:
    """Say in whole sentences what outcome.json holds.

    Args:
        outcome: The outcome, whose `summary` and `warnings` are not read.
    """
    domains = outcome.domains
    found = [
        *taught(outcome),
        headlines(domains),
        floors(domains, brought=is_brought(outcome)),
        behaviour(domains),
        forecast(domains, outcome.forecast.kind),
        *judged(outcome.judgement, outcome.settings.score or "icl"),
        drift(outcome.drift),
        *arms(outcome.arms),
        tolerances(outcome.tolerances),
    ]
    return [sentence for sentence in found if sentence]


def taught(outcome: Outcome) -> list[str]:
    """The gain of the target, and of each source of it."""
    if not outcome.target.measures and outcome.elsewhere and outcome.elsewhere.harness and not outcome.sources:
        return ["The target's gain is not known: no task of the results stands for it."]
    return [whole(outcome.target) if outcome.sources else target(outcome.target), sources(outcome.sources)]


def target(measured: Measured) -> str:
    """The target's own gain."""
    headline = headline_change(measured)
    if headline is None:
        return "The target was not measured: it has no evaluation rows, or no measure fits it."
    quantity, change = headline
    ends = f"from {value_text(quantity, change.before)} to {value_text(quantity, change.after)}"
    amount = f"{change_text(quantity, change)} over {counted(change.items, 'item')}"
    text = f"The target's {title(quantity)} went {ends}: {amount}"
    if change.changed:
        return f"{text}, a {change.direction}."
    if change.low <= 0 <= change.high:
        return f"{text}. The interval holds zero: there is no evidence of a gain."
    return f"{text}. Chance gives as much as often as 1 in 20 times: it is not significant at 95 %."


def whole(measured: Measured) -> str:
    """The gain of a target of several sources, where their measures agree."""
    if headline_change(measured) is None:
        return "The target's sources have no headline measure in common, so each is reported by itself."
    return target(measured)


def sources(parts: Mapping[str, Measured]) -> str:
    """The gain of each source of a target that has several."""
    texts = []
    for name, measured in parts.items():
        if (headline := headline_change(measured)) is None:
            texts.append(f"{name} was not measured")
            continue
        quantity, change = headline
        verdict = f"a {change.direction}" if change.changed else "no significant change"
        amount = f"{change_text(quantity, change)} over {counted(change.items, 'item')}"
        texts.append(f"{name}'s {title(quantity)} {amount} ({verdict})")
    return f"By source: {'; '.join(texts)}." if texts else ""


def headlines(domains: Mapping[str, Measured]) -> str:
    """How many domains changed on their headline measure, and which most."""
    found = {name: headline for name, domain in domains.items() if (headline := headline_change(domain))}
    changed = {name: one for name, one in found.items() if one[1].changed}
    if not found:
        return "No domain was measured."
    if not changed:
        if len(found) == 1:
            which = "The one domain" if len(domains) == 1 else "The one domain that was measured"
            return f"{which} did not change beyond noise on its headline measure."
        return f"None of {len(found)} domains changed beyond noise on its headline measure."
    parts = []
    for word in ("loss", "gain", "moved"):
        those = {name: one for name, one in changed.items() if one[1].direction == word}
        if those:
            most = sorted(those, key=lambda name: (-abs(those[name][1].change), name))
            listed = (f"{name} {change_text(*those[name])}" for name in most)
            parts.append(f"{len(those)} {plural(word, len(those))} ({few(listed, len(most))})")
    seeming = sum(change.by_chance for _, change in found.values())
    those_of = f"{len(changed)} of {counted(len(found), 'domain')}"
    return (
        f"{those_of} changed beyond noise on their headline measure: {', '.join(parts)}. "
        f"If none had changed, about {seeming:.1f} would seem to."
    )


def is_brought(outcome: Outcome) -> bool:
    """Whether all measures are another harness's, so that neither model was read."""
    return outcome.elsewhere is not None and outcome.elsewhere.harness is not None


def floors(domains: Mapping[str, Measured], *, brought: bool = False) -> str:
    """Which domains' accuracy cannot show a loss, and what stands for them instead.

    Args:
        domains: By name.
        brought: Whether another harness has measured them.
    """
    found = {name: floor for name, domain in domains.items() if (floor := domain.floor)}
    sentences = []
    for instead in dict.fromkeys(floor.instead for floor in found.values()):
        those = {name: floor for name, floor in found.items() if floor.instead == instead}
        listed = few((f"{name} {floor_text(floor)}" for name, floor in those.items()), len(those))
        if brought:
            rest = "`mixplan eval RUN --model MODEL` measures whether their behaviour moves"
        elif instead is None:
            rest = "add `behaviour` to `evaluate.also` and name no other measure for them to see whether they move"
        else:
            rest = f"there the headline is {TITLES_INSTEAD[instead]}"
        sentences.append(f"Accuracy cannot show a loss where it is at its floor or at chance ({listed}): {rest}.")
    if none := [name for name, floor in found.items() if not floor.value and not floor.chance and not brought]:
        sentences.append(
            f"No answer was graded right before training in {few(none, len(none))}: read some in the report, and where "
            "they are right in other words, choose a `grader` that takes them, or measure it by `likelihood`."
        )
    return " ".join(sentences)


def floor_text(floor: Floor) -> str:
    """An accuracy before training beside what guessing gives."""
    text = f"{100 * floor.value:.0f} % of {floor.items}"
    return f"{text}, by guessing {100 * floor.chance:.0f} %" if floor.chance else text


def plural(word: str, count: int) -> str:
    """`loss`, `gain` or `moved`, for so many."""
    return {"loss": "losses", "gain": "gains"}.get(word, word) if count > 1 else word


def few(listed: Iterable[str], count: int) -> str:
    """The first few, and how many there are besides."""
    first = [text for text, _ in zip(listed, range(NAMED), strict=False)]
    return ", ".join(first) + (f" and {count - NAMED} more" if count > NAMED else "")


def behaviour(domains: Mapping[str, Measured]) -> str:
    """Where the trained model answers least like the untrained one."""
    moved = {
        name: domain.measures["behaviour"]["kl"] for name, domain in domains.items() if "behaviour" in domain.measures
    }
    if len(moved) < 2:
        return ""
    if not any(change.changed for change in moved.values()):
        return "Behaviour moved nowhere beyond what two readings of one model differ by."
    most, *_, least = sorted(moved, key=lambda name: (-moved[name].change, name))
    return (
        f"Behaviour moved most in {most}, {change_text('kl', moved[most])}, and least in {least}, "
        f"{change_text('kl', moved[least])}."
    )


def forecast(domains: Mapping[str, Domain], kind: str) -> str:
    """How many domains moved outside their forecast."""
    checked = {name: domain for name, domain in domains.items() if domain.outside_forecast is not None}
    if not checked:
        if unmeasured := sum(not domain.measures for domain in domains.values()):
            part = (
                f"{unmeasured} of {counted(len(domains), 'domain')} {'was' if unmeasured == 1 else 'were'} not measured"
            )
            return f"No forecast could be checked: it is of shares of all domains' change, and {part}."
        return "No forecast could be checked: the plan had no unit, and the domains share none."
    wrong = {name: domain for name, domain in checked.items() if domain.outside_forecast}
    how = "" if kind != "relative" else " The forecast was of each domain's share of all change, without unit or sign."
    if less := [name for name, domain in checked.items() if not domain.outside_forecast and moved_less(domain)]:
        how = (
            f" {few(less, len(less))} moved less than forecast: that is of the target's rows alone, and extra rows "
            "leave a part of it."
        )
    if not wrong:
        one = "The one domain moved within its forecast."
        return f"{one if len(checked) == 1 else f'All {len(checked)} domains moved within their forecast.'}{how}"
    listed = few((f"{name} {miss(domain)}" for name, domain in wrong.items()), len(wrong))
    return f"{len(wrong)} of {counted(len(checked), 'domain')} moved outside their forecast: {listed}.{how}"


def moved_less(domain: Domain) -> bool:
    """Whether a change lies between none and its forecast, where it may be behind extra rows."""
    if (expected := domain.expected or domain.expected_behaviour) is None:
        return False
    change = domain.measures[expected.measure][expected.quantity].change
    return not expected.low <= change <= expected.high


def miss(domain: Domain) -> str:
    """What a domain did instead of what was forecast."""
    expected = domain.expected or domain.expected_behaviour
    if expected:
        quantity = expected.quantity
        change = domain.measures[expected.measure][quantity]
        return f"({change_text(quantity, change)}, forecast {change_text(quantity, expected)})"
    share = domain.relative
    assert share is not None, "only a forecast that was checked can have missed"
    low, high = f"{100 * share.low:.0f}", f"{100 * share.high:.0f}"
    return f"({100 * share.measured:.0f} % of all change, forecast {100 * share.share:.0f} % [{low}, {high}])"


def judged(judgement: Sequence[Judgement], score: ScoreName) -> list[str]:
    """Whether the planning score predicted where change would be, by headline and by behaviour, and what did better."""
    found = []
    for measure in ("headline", "behaviour"):
        entries = {entry.predictor: entry for entry in judgement if entry.measure == measure}
        own = entries.get(SCORE_KEYS[score])
        if own is not None and own.changed == 0:
            found.append(
                f"No domain changed beyond noise in {title(own.quantity)}, so no score can be held against how far "
                "they moved."
            )
        elif own is not None:
            found.append(told(own, SCORE_TITLES[score]) + better(entries, own))
    return found


def told(entry: Judgement, name: str) -> str:
    """One predictor against one quantity."""
    where, over = f"how far {title(entry.quantity)} would move", f"over {counted(entry.domains, 'domain')}"
    if entry.pearson is None:
        return f"Whether {name} predicts {where} cannot be said {over}: too few, or all alike."
    if entry.pearson_low is None or entry.pearson_high is None:
        return f"Whether {name} predicts {where} is open: Pearson {entry.pearson:.2f} {over}, too few for an interval."
    figures = f"Pearson {entry.pearson:.2f} [{entry.pearson_low:.2f}, {entry.pearson_high:.2f}]"
    figures += f", Spearman {entry.spearman:.2f} {over}"
    if entry.pearson_low > 0:
        return f"{name} predicted {where}: {figures}."
    if entry.pearson_high < 0:
        return f"{name} predicted {where} the wrong way round: {figures}."
    return f"There is no evidence that {name} predicts {where}: {figures}; the interval holds zero."


def better(entries: Mapping[str, Judgement], own: Judgement) -> str:
    """The comparison whose correlation with the change is highest, where it is higher than the planning score's."""
    others = {name: entry.pearson for name, entry in entries.items() if entry.pearson is not None}
    if own.pearson is None:
        return ""
    best = max(others, key=lambda name: (others[name], name == own.predictor))
    if best == own.predictor:
        return ""
    name, high = PREDICTOR_NAMES.get(best, best), own.pearson_high
    within = ", which is within that interval" if high is not None and others[best] <= high else ""
    return f" {name[0].upper()}{name[1:]} came closer: Pearson {others[best]:.2f}{within}."


def drift(found: Drift | None) -> str:
    """Predicted against actual drift dimensions."""
    if found is None:
        return ""
    chance = f"chance gives {found.chance:.1f} [{found.low}, {found.high}]"
    more = "" if found.overlap > found.high else ", so the prediction is no better than chance"
    text = f"Of the {found.of} features that training moved most, {found.overlap} were predicted; {chance}{more}."
    if found.active_overlap >= found.overlap:
        text += f" Naming the most active features would have met {found.active_overlap}."
    if found.raw_chance is None:
        return text
    return (
        f"{text} In the raw stream {found.raw_overlap} of {found.raw_of} were; chance gives "
        f"{found.raw_chance:.1f} [{found.raw_low}, {found.raw_high}]."
    )


def arms(found: Arms | None) -> list[str]:
    """How each arm did against the baseline, by the mean over domains."""
    if found is None:
        return []
    tables = [table for table in (found, found.behaviour) if table and table.domains]
    sentences = []
    for table in tables:
        quantity, words = table.quantity or "", {"win": "beat", "tie": "tied with", "loss": "lost to"}
        listed = [
            f"{name} {words[arm.verdict]} it ({change_text(quantity, arm.against)})"
            for name, arm in table.arms.items()
            if arm.verdict and arm.against
        ]
        if listed:
            less = ", where less is better" if quantity == "kl" else ""
            sentences.append(
                f"Against the {found.baseline} mixture, by the mean change of {title(quantity)} over "
                f"{counted(table.domains, 'domain')}{less}: {', '.join(listed)}."
            )
        # The baseline's own pairs are told above.
        others = [pair for pair in table.pairs if found.baseline not in (pair.arm, pair.against)]
        told_first = [pair for pair in others if "plan" in (pair.arm, pair.against)]
        if told_first:
            listed = [
                f"{one} {words[verdict]} {other} ({change_text(quantity, difference)})"
                for one, other, verdict, difference in map(from_the_plan, told_first)
            ]
            sentences.append(f"By the same mean of {title(quantity)}: {', '.join(listed)}.")
    return [*sentences, ONCE] if sentences and len(found.seeds) == 1 else sentences


def from_the_plan(pair: Pair) -> tuple[str, str, Verdict, Interval]:
    """A pair of arms with the plan named first: the two, the verdict, and the difference."""
    difference = pair.difference
    if pair.arm == "plan":
        return pair.arm, pair.against, pair.verdict, difference
    turned = Interval(value=-difference.value, low=-difference.high, high=-difference.low)
    verdicts: dict[Verdict, Verdict] = {"win": "loss", "loss": "win", "tie": "tie"}
    return pair.against, pair.arm, verdicts[pair.verdict], turned


def tolerances(found: Gate | None) -> str:
    """What became of the tolerances."""
    if found is None:
        return ""
    total = counted(len(found.asked()), "domain")
    failed, undecided = found.of("fail"), found.of("undecided")
    if found.verdict == "pass":
        return f"Tolerances: pass. {total} kept to what may be lost."
    sentences = [f"Tolerances: {found.verdict}."]
    for word, those in (("lost more than may be lost", failed), ("undecided", undecided)):
        names = {one.domain for one in those}
        if those:
            listed = few((f"{one.domain} {lost(one)}" for one in those), len(those))
            sentences.append(f"{len(names)} of {total} {word}: {listed}.")
    return " ".join(sentences)


def lost(one: Held) -> str:
    """What was lost of what may be, in words."""
    if one.loss is None:
        return f"(not measured, may lose {one.text})"
    figures = f"{one.loss.value:.3g} {one.unit} [{one.loss.low:.3g}, {one.loss.high:.3g}]"
    return f"({figures}, may lose {one.text})"


def changed_since(outcome: Outcome) -> list[str]:
    """That a model is not held to what its plan says, or to what it was held to when it was first measured."""
    found = outcome.tolerances
    if found is None:
        return []
    given = "The tolerances are not those of the plan: they were given with `mixplan eval`."
    sentences = [given] if found.given == "eval" else []
    if found.first == {}:
        sentences.append("The tolerances were set after this model had been measured.")
    elif found.first is not None:
        parts = [
            f"{name} {' and '.join(found.first.get(name, [])) or 'anything'}, now "
            f"{' and '.join(found.asked().get(name, [])) or 'anything'}"
            for name in dict.fromkeys([*found.first, *found.asked()])
            if found.first.get(name) != found.asked().get(name)
        ]
        listed = few(parts, len(parts))
        sentences.append(f"The tolerances were changed after this model had been measured: {listed}.")
    return sentences
