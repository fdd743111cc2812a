"""Reports how good a forecast is within kinds of domains, and once target and domain means are subtracted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mixplan.report.text import in_line
from mixplan.study.files.figure import Scores
from mixplan.study.files.judgement import Judgement
from mixplan.study.judged.judge import FEWEST_OF_A_KIND
from mixplan.study.judged.table import Table
from mixplan.study.results.figures import figure, heading, lines, listed, side, table_of

CENTRED = """\
What `centred` means: some domains move whatever is trained, and some targets move everything, so a forecast can look
good and know nothing of how the two belong together. To take that away, each domain's mean over targets and each
target's mean over domains are subtracted from forecast and measurement alike (in logarithms, so that it is about ratios
of changes). What stays is the question that planning a mixture asks: does *this* target move *this* domain more than
one would expect of either? 1 is a perfect answer and 0 is none; a predictor that is the same for every target, such as
a domain's size, has no answer (–)."""

KINDS = """\
What this table is for: kinds of domains, such as short answers and running text, move by different amounts whatever is
trained. A forecast that does no more than tell the kinds apart has a high correlation over all domains together, and
none here, where domains of one kind are held against each other alone."""

SCORES = {"pearson": "Pearson", "centred": "centred"}


def by_kind(judged: Judgement, table: Table, quantity: str) -> Iterator[str]:
    """The same scores among domains of one kind.

    Args:
        judged: What `judge` found.
        table: The study's table.
        quantity: The measure.
    """
    kinds = judged.kinds.get("all", {}).get(quantity, {})
    if not kinds:
        return
    yield heading("Does it hold among domains of one kind?")
    yield from (kind_sentence(judged, kinds, quantity, score) for score in SCORES)
    few = [kind for kind in dict.fromkeys(table.kinds[name] for name in table.domains) if kind not in kinds]
    left_out = f" Left out, with fewer than {FEWEST_OF_A_KIND} domains: {listed([*map(in_line, few)])}." if few else ""
    yield f"{KINDS} The fewer domains of a kind, the wider its interval.{left_out}"
    for score, name in SCORES.items():
        names = next(iter(kinds.values()))[score]
        rows = [(f"`{one}`", *(figure(kinds[kind][score][one]) for kind in kinds)) for one in names]
        yield lines([f"{name}, all targets:", "", table_of(("predictor", *map(in_line, kinds)), rows)])


def kind_sentence(judged: Judgement, kinds: Mapping[str, Scores], quantity: str, score: str) -> str:
    """In how many kinds the chosen forecast is surely better than nothing, by one score."""
    choice = judged.chosen.get(quantity, {}).get(score)
    if choice is None:
        return f"**By {SCORES[score]} no forecast was chosen.**"
    entries = {kind: kinds[kind][score][choice.forecast] for kind in kinds}
    held = [kind for kind, entry in entries.items() if side(entry) == "above"]
    found = "; ".join(f"{in_line(kind)} {figure(entry)}" for kind, entry in entries.items())
    return (
        f"**By {SCORES[score]}, `{choice.forecast}` is surely above 0 in {len(held)} of {len(kinds)} kinds**, "
        f"all targets: {found}."
    )
