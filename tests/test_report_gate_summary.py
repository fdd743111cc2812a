"""Writes verdicts as Markdown: a heading, what became of them, a table that no name breaks out of."""

from tolerated import REASON, gate

from mixplan.report.gate_summary import gate_markdown
from mixplan.report.junit import Gated


def cells(line: str) -> list[str]:
    """A table's line as GitHub splits it: at each bar that no backslash stands before."""
    return [cell.strip() for cell in line.replace("\\|", "\0").strip("|").split("|")]


def test_it_opens_with_the_verdict_and_lists_every_tolerance():
    target = "The target's accuracy went from 1.0 % to 2.0 %."
    text = gate_markdown([Gated("mine", gate("pass", "fail", "undecided"), target)])
    paragraphs = text.split("\n\n")
    assert paragraphs[0] == "### mixplan, mine: fail"
    assert paragraphs[1].startswith("Tolerances: fail. 1 of 3 domains lost more than may be lost: d1 ")
    assert [cells(line) for line in paragraphs[2].splitlines()] == [
        ["domain", "may lose", "lost", "95 %", "rows", "verdict", "why"],
        ["---"] * 7,
        ["d0", "2 pp", "0.50", "\\[-0.25, 1.2\\]", "100", "pass", ""],
        ["d1", "2 pp", "4.0", "\\[2.5, 5.5\\]", "100", "fail", ""],
        ["d2", "2 pp", "1.5", "\\[0.50, 2.5\\]", "100", "undecided", REASON],
    ]
    assert paragraphs[3] == f"{target}\n"


def test_what_was_changed_is_quoted_and_other_mixtures_are_counted():
    found = Gated(
        "mine",
        gate("pass"),
        notes=("They were changed.",),
        arms=(("none", gate("fail", "fail")), ("plan", gate("pass"))),
    )
    text = gate_markdown([found])
    assert "\n\n> They were changed.\n\n" in text
    lines = [cells(line) for line in text.partition("that were compared:")[2].splitlines() if line]
    assert lines == [
        ["arm", "verdict", "pass", "fail", "undecided"],
        ["---"] * 5,
        ["none", "fail", "0", "2", "0"],
        ["plan", "pass", "1", "0", "0"],
    ]


def test_a_name_is_nothing_but_text():
    label = "a|b <script>`x` [l](u) *b* _i_ #1 ~s~ &amp; !\nnext \x1b[31m"
    text = gate_markdown([Gated(label, gate("pass"), label, notes=(label,))])
    heading = text.splitlines()[0]
    assert heading == (
        "### mixplan, a\\|b \\<script\\>\\`x\\` \\[l\\](u) \\*b\\* \\_i\\_ \\#1 \\~s\\~ \\&amp; \\!↵next "
        "\\[U+001B\\]\\[31m: pass"
    )
    assert len({len(cells(line)) for line in text.splitlines() if line.startswith("|")}) == 1
