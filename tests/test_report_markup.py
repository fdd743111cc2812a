"""Only mixplan's own markup is markup; everything else arrives as the text it was."""

import html

from hypothesis import given
from hypothesis import strategies as st

from mixplan.report.markup import Html, escape, join, tag
from mixplan.report.text import visible


@given(st.text())
def test_escaped_text_reads_back_as_it_was(text: str) -> None:
    written = escape(text)
    assert html.unescape(written) == visible(text)
    assert not set(written) & set("<>\"'")


def test_html_is_kept_and_text_is_escaped() -> None:
    inner = tag("b", "1 < 2")
    assert inner == "<b>1 &lt; 2</b>"
    assert tag("p", inner, None, "&") == "<p><b>1 &lt; 2</b>&amp;</p>"
    assert join(["<", inner]) == "&lt;" + inner
    assert isinstance(join([]), Html)


def test_attributes() -> None:
    assert (
        tag("p", class_="a", aria_label='"x"', title=None, x1=4.5)
        == '<p class="a" aria-label="&quot;x&quot;" x1="4.5"></p>'
    )
    assert tag("meta", name="viewport", charset="utf-8") == '<meta name="viewport" charset="utf-8">'


def test_what_a_sentence_has_between_backticks_is_code_and_a_person_s_text_elsewhere_is_left() -> None:
    assert tag("p", "Set `budget.rows` to `<3>`.") == ("<p>Set <code>budget.rows</code> to <code>&lt;3&gt;</code>.</p>")
    assert tag("li", "one ` alone") == "<li>one ` alone</li>"
    assert tag("dd", "`kept`") == "<dd>`kept`</dd>", "an answer that a model wrote"


@given(st.text())
def test_a_sentence_reads_back_without_its_marks(text: str) -> None:
    written = tag("p", text).removeprefix("<p>").removesuffix("</p>")
    shown = html.unescape(written.replace("<code>", "`").replace("</code>", "`"))
    assert shown == visible(text)
