"""Writes RESULTS.md's sections on trained models without some features, and on targets' own features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mixplan.report.text import in_line, number, percent, whole
from mixplan.study.files.figure import TargetMean
from mixplan.study.files.own_features import Labelled, MeanRecall, Recall
from mixplan.study.files.zeroing import Conditions, Zeroing
from mixplan.study.results.figures import NAMES, NOTHING, figure, heading, lines, side, table_of, told

CONDITIONS = ("untrained", "none", "drift", "predicted", "random", "matched")
HEADS = {
    "untrained": "untrained model",
    "none": "nothing out",
    "drift": "actual drift out",
    "predicted": "predicted drift out",
    "random": "blindly drawn out",
    "matched": "as active out",
}
BETTER = {"bits_per_byte": "below", "score": "above"}
"""Which way a target gets better."""


def zeroing_section(zeroing: Zeroing | None) -> Iterator[str]:
    """Write whether targets need the features that drifted.

    Args:
        zeroing: As `judge_zeroing` gave it; None for no section.

    Yields:
        Markdown blocks: the answer for each measure, then what was held against what, then each training.
    """
    if not zeroing:
        return
    yield heading("Does a trained target need the features that drifted?")
    for quantity, pairs in zeroing.differences.items():
        yield zeroing_answer(zeroing, quantity, pairs)
    yield activity_sentence(zeroing)
    yield (
        f"{whole(zeroing.features)} features at a time were taken out of every token of the trained model. Drift "
        "dimensions are active ones, so that taking blindly drawn features out costs less already because they are "
        f"silent on most tokens. What is particular to drift shows against others that are about as active; of either "
        f"{zeroing.sets} sets were drawn, none with a drift dimension in it. Brackets are 95 % intervals over "
        "targets here, in the tables below over drawn sets."
    )
    quantities = list(zeroing.differences)
    heads = ("held against each other", *(NAMES.get(quantity, quantity) for quantity in quantities))
    rows = [
        (pair_name(pair), *(with_targets(zeroing.differences[quantity][pair]) for quantity in quantities))
        for pair in next(iter(zeroing.differences.values()), {})
    ]
    yield table_of(heads, rows)
    for quantity in quantities:
        yield lines([f"{NAMES.get(quantity, quantity)}:", "", conditions_table(zeroing.cells, quantity)])
    yield lines(
        ["Summed mean activation of what was taken out, on the target's questions:", "", activity_table(zeroing)]
    )


def zeroing_answer(zeroing: Zeroing, quantity: str, pairs: Mapping[str, TargetMean]) -> str:
    """Whether a target loses more without its drift dimensions than without others, by one measure."""
    name, count = NAMES.get(quantity, quantity), whole(zeroing.features)
    verdict = {"more": "surely loses more", "less": "surely loses less", "unsure": "neither surely loses more nor less"}
    plain = {"more": "surely a loss", "less": "surely a gain", "unsure": "neither surely a loss nor a gain"}
    than = {
        pair: f"{verdict[loses(quantity, found)]} than without {{}}: {with_targets(found)}"
        for pair, found in pairs.items()
    }
    alike, blind = f"{count} others that are about as active", f"{count} blindly drawn ones"
    alone = pairs["drift - none"]
    return (
        f"{name}: **without the {count} features that training moved most a target "
        f"{than['drift - matched'].format(alike)}.** It {than['drift - random'].format(blind)}. Without the {count} "
        f"that were predicted to move it {than['predicted - matched'].format(alike)}. Taking the moved ones out is "
        f"{plain[loses(quantity, alone)]} against taking nothing out: {with_targets(alone)}."
    )


def loses(quantity: str, difference: TargetMean) -> str:
    """Whether the first of two conditions is surely worse (`more`), surely better (`less`), or `unsure`."""
    where = side(difference)
    if where == "unsure":
        return where
    return "less" if where == BETTER[quantity] else "more"


def with_targets(difference: TargetMean) -> str:
    """A difference with its interval and how many targets it is over."""
    if difference.value is None:
        return NOTHING
    return f"{figure(difference, sign=True, digits=3)} ({difference.targets} targets)"


def pair_name(pair: str) -> str:
    """Two conditions in words."""
    one, _, other = pair.partition(" - ")
    return f"{HEADS[one]} less {HEADS[other]}"


def conditions_table(cells: Mapping[str, Conditions], quantity: str) -> str:
    """One measure under every condition, a row a training."""
    rows = [
        (in_line(name), *(figure(entry.of(one).of(quantity), digits=3) for one in CONDITIONS))
        for name, entry in cells.items()
        if entry.none.of(quantity) is not None
    ]
    return table_of(("target and seed", *HEADS.values()), rows)


def activity_sentence(zeroing: Zeroing) -> str:
    """In how many trainings the stand-ins are in truth less active than the drift dimensions."""
    cells = zeroing.cells.values()
    less = sum(activation(entry, "matched") < activation(entry, "drift") for entry in cells)
    said = (
        "The features drawn as equally active are in sum less active than the drift dimensions in "
        f"{less} of {len(cells)} trainings"
    )
    if not less:
        return f"{said}."
    return f"{said}: where they are far less so (last table), part of a difference may be activity after all."


def activation(cell: Conditions, name: str) -> float:
    """Sum of the activations of the features that a condition takes out; 0 where it takes out none."""
    return cell.of(name).activation or 0.0


def activity_table(zeroing: Zeroing) -> str:
    """How active what was taken out is, a row a training."""
    taken = CONDITIONS[2:]
    rows = [
        (in_line(name), *(number(activation(entry, one)) for one in taken)) for name, entry in zeroing.cells.items()
    ]
    return table_of(("target and seed", *(HEADS[one] for one in taken)), rows)


def labelled_section(labelled: Labelled | None) -> Iterator[str]:
    """Write whether features that are a target's own are among those that move most.

    Args:
        labelled: As `judge_labels` gave it; None for no section.

    Yields:
        Markdown blocks: the answers for actual and predicted movers, then each target.
    """
    if not labelled:
        return
    yield heading("Are a target's own features among those that move most?")
    movers = whole(labelled.movers)
    yield labelled_answer(labelled.actual, f"{movers} that training moved most")
    yield labelled_answer(labelled.predicted, f"{movers} predicted to move")
    yield (
        f"A target's own features are, without any judge, up to {whole(labelled.labelled)} that are more active on "
        f"its questions than on the domains' by the largest ratio, of those that fire on at least "
        f"{percent(labelled.least_firing)} of its tokens. Features that are active on a target's tokens are the "
        "ones that can move there, so blind chance is too easy to beat: `as active` is the recall of others that are "
        "about as active."
    )
    rows = []
    for name, entry in labelled.targets.items():
        found = [cell for one in (entry.actual, entry.predicted) for cell in recall_cells(one)]
        rows.append((in_line(name), whole(entry.labelled), *found))
    heads = (f"{which}: {what}" for which in ("moved", "predicted") for what in ("recall", "as active", "chance"))
    yield table_of(("target", "own features", *heads), rows)


def labelled_answer(found: MeanRecall, words: str) -> str:
    """One side's recall against others that are as active, and chance."""
    recall, difference = found.recall, found.difference
    if recall.value is None:
        return f"**No target has features of its own, so none is among the {words}.**"
    verdict = {
        "above": "surely more than",
        "below": "surely fewer than",
        "unsure": "not surely more or fewer than",
    }[side(difference)]
    return (
        f"**Of a target's own features {figure(recall)} are among the {words}, {verdict} of others that are about as "
        f"active** ({figure(found.matched)}; paired difference {figure(difference, sign=True)}). "
        f"Blindly drawn ones: {told(found.chance)}. Mean over {recall.targets} targets."
    )


def recall_cells(entry: Recall) -> tuple[str, str, str]:
    """A target's recall, that of others as active, and chance."""
    high = (
        NOTHING
        if entry.chance_high is None
        else f"{told(entry.chance)} (one draw in 40 above {told(entry.chance_high)})"
    )
    return told(entry.recall), told(entry.matched), high
