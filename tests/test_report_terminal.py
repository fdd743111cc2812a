"""The closing table says everything in the columns, colours and letters that a terminal has, and obeys no token."""

import html
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import saved_run
from rich.cells import cell_len
from rich.console import Console
from saved_plan import learned, sample

from mixplan.report.measures import quantity
from mixplan.report.page import render
from mixplan.report.terminal import foundations, how_right, show, show_next, show_outcome, show_several
from mixplan.report.text import bounds, number, percent
from mixplan.report.verdict import headline, saving_sentence
from mixplan.saved.plan import Plan

PAGE = Path("runs/quickstart/report.html")


def printed(value: dict[str, Any], width: int = 80, encoding: str = "utf-8", *, colours: bool = False) -> str:
    plan = Plan.model_validate_json(json.dumps(value))
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, newline="\n", write_through=True)
    # A terminal that has colours, whatever the one is that the tests run in.
    environment = {"TERM": "xterm-256color"}
    console = Console(
        file=file, width=width, highlight=False, force_terminal=colours, no_color=not colours, _environ=environment
    )
    show(plan, console, PAGE)
    return raw.getvalue().decode(encoding)


@pytest.fixture
def value() -> dict[str, Any]:
    return sample()


def test_every_domain_has_its_line_highest_score_first(value: dict[str, Any]) -> None:
    plan = Plan.model_validate_json(json.dumps(value))
    lines = printed(value, width=140).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("domain "))
    assert lines[start].split()[:6] == ["domain", "STS_ICL", "95", "%", "rows", "ratio"]
    assert lines[start].rstrip().endswith("  example passage")
    for line, name in zip(lines[start + 1 :], plan.order(), strict=False):
        score, rows = plan.score_of(name), plan.allocation.rows[name]
        figures = f"{name} {number(score.value)} {bounds(score)} {rows} {percent(plan.allocation.ratios[name])}"
        assert " ".join(line.split()).startswith(figures)
    assert lines[start + 17].split() == ["target", "820", "78.8", "%"]


def test_rows_planned_by_an_expected_change_stand_beside_it(value: dict[str, Any]) -> None:
    plan = Plan.model_validate_json(json.dumps(learned(value)))
    lines = printed(value, width=200).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("domain "))
    assert lines[start - 1] == "expected: how far behaviour will move, nats per token; ratio: share of all rows"
    assert lines[start].split()[:7] == ["domain", "expected", "95", "%", "STS_ICL", "rows", "ratio"]
    scores = sorted(value["domains"], key=lambda name: value["domains"][name]["sts_icl"]["value"])
    assert plan.order() == scores
    first = " ".join(lines[start + 1].split())
    score = number(plan.score_of(scores[0]).value)
    assert first.startswith(f"{scores[0]} 0.34 [0, 0.81] {score} {plan.allocation.rows[scores[0]]} ")
    assert lines[start + 17].split() == ["target", "820", "78.8", "%"]
    # Without the plan's word for it an expectation is only shown, not planned by.
    value["forecast"]["planned_by"] = "score"
    assert Plan.model_validate_json(json.dumps(value)).order() == scores[::-1]


def test_the_verdict_comes_first_then_warnings_and_the_page_last(value: dict[str, Any]) -> None:
    plan = Plan.model_validate_json(json.dumps(value))
    lines = printed(value, width=200).splitlines()
    assert lines[0] == f"quickstart: {headline(plan)}"
    assert lines[0].startswith("quickstart: 220 extra rows over 16 domains beside 820 target rows. The most rows: ")
    assert lines[1] == saving_sentence(plan)
    assert lines[2] == f"Warning: {value['warnings'][0]}"
    assert lines[3] == f"Warning: {value['allocation']['no_better_than_uniform']}"
    assert lines[4].startswith("domain ")
    assert lines[-1] == f"Report: {PAGE}"


@pytest.mark.parametrize("drift", ["icl", "checkpoint"])
def test_at_most_five_lines_follow_the_table(value: dict[str, Any], drift: str) -> None:
    value["drift"]["from"] = drift
    value["drift"]["checkpoint"] = {"folder": "pilot", "hash": "0"} if drift == "checkpoint" else None
    plan, raw = Plan.model_validate_json(json.dumps(value)), io.StringIO()
    console = Console(file=raw, width=300, highlight=False)
    show(plan, console, PAGE)
    show_next(plan, console, Path("runs/x"))
    lines = [line for line in raw.getvalue().splitlines() if line]
    last = max(i for i, line in enumerate(lines) if line.startswith("target "))
    assert len(lines) - last - 1 == (4 if drift == "icl" else 5)


def test_what_trains_on_the_plan_comes_after_it(value: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixplan.report.terminal.installed", str)
    raw = io.StringIO()
    plan = Plan.model_validate_json(json.dumps(value))
    show_next(plan, Console(file=raw, width=20, highlight=False), Path("runs/my [b]run"))
    assert raw.getvalue().splitlines() == [
        "Next: mixplan train 'runs/my [b]run'",
        "By TRL alone: cd 'runs/my [b]run' && trl sft --config mixture/sft.yaml --use_cpu --bf16 false",
    ]
    value["model"]["device"] = "cuda:0"
    on_gpu = io.StringIO()
    show_next(Plan.model_validate_json(json.dumps(value)), Console(file=on_gpu, highlight=False), Path("runs/x"))
    assert on_gpu.getvalue().splitlines()[-1] == "By TRL alone: cd runs/x && trl sft --config mixture/sft.yaml"
    value["recipe"] = {"train": {"replay_kl": {"weight": 0.5}}}
    near = io.StringIO()
    show_next(Plan.model_validate_json(json.dumps(value)), Console(file=near, highlight=False), Path("runs/x"))
    assert near.getvalue().splitlines() == [
        "Next: mixplan train runs/x",
        "TRL's own command cannot train with `train.replay_kl`.",
    ]
    without = Plan.model_validate_json(json.dumps(value | {"mixture": None}))
    show_next(without, Console(file=raw), Path("runs/x"))
    assert "runs/x" not in raw.getvalue()


def test_sentences(value: dict[str, Any]) -> None:
    rests = (
        "stability of the ranking by STS_ICL 0.91; the SAE fits these tokens (21.4 % of variance unexplained). "
        "The forecast's own errors are in the report."
    )
    relative = json.loads(json.dumps(value))
    relative["forecast"]["kind"] = "relative"
    assert foundations(Plan.model_validate_json(json.dumps(relative)))[0].endswith(" of variance unexplained).")
    value["forecast"]["kind"] = "learned"
    assert foundations(Plan.model_validate_json(json.dumps(value))) == [f"Rests on the score alone; {rests}"]
    value["forecast"]["learned_from"] = [{"run": "runs/a", "hash": "0"}]
    assert foundations(Plan.model_validate_json(json.dumps(value))) == [f"Rests on 1 earlier run; {rests}"]
    value["forecast"]["learned_from"] += [{"run": name, "hash": "0", "studied": True} for name in "bc"]
    mixed = f"Rests on 2 targets of studies and 1 earlier run; {rests}"
    assert foundations(Plan.model_validate_json(json.dumps(value))) == [mixed]
    value["ranking"]["stability"], value["sae"]["health"]["fits"] = None, False
    said = foundations(Plan.model_validate_json(json.dumps(value)))[0]
    assert "by STS_ICL not defined; the SAE does not fit these tokens" in said


@pytest.mark.parametrize("width", [20, 40, 71, 72, 80, 120])
def test_no_line_is_wider_than_the_terminal(value: dict[str, Any], width: int) -> None:
    value["domains"]["d" * 100] = value["domains"]["law"]
    for spread in ("rows", "ratios", "uniform", "shares"):
        value["allocation"][spread]["d" * 100] = value["allocation"][spread]["law"]
    lines = printed(value, width).splitlines()
    assert max(cell_len(line) for line in lines[:-1]) <= width
    assert lines[-1] == f"Report: {PAGE}"


def test_eighty_columns_keep_every_number_whole(value: dict[str, Any]) -> None:
    text = printed(value, 80)
    plan = Plan.model_validate_json(json.dumps(value))
    for name in plan.domains:
        figures = [number(plan.score_of(name).value), bounds(plan.score_of(name)), str(plan.allocation.rows[name])]
        pattern = " +".join(map(re.escape, [name, *figures, percent(plan.allocation.ratios[name])]))
        assert re.search(rf"^{pattern}( |$)", text, re.MULTILINE), name


def test_a_domain_has_the_passage_where_its_leading_feature_fires(value: dict[str, Any]) -> None:
    context = {"before": "The ", "token": " patient", "after": " has fever", "activation": 3.0}
    value["domains"]["law"]["why"] = [{"feature": 1, "share": 0.5, "contexts": [context]}]
    assert "The  [patient] has fever" in printed(value, 200)
    value["domains"]["law"]["why"] = []
    line = next(line for line in printed(value, 200).splitlines() if line.startswith("law "))
    assert line.split()[-1] == "%"


def test_a_narrow_terminal_leaves_the_passages_to_the_page(value: dict[str, Any]) -> None:
    assert "example passage" in printed(value, 84)
    assert "example passage" not in printed(value, 60)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_any_encoding_is_written(value: dict[str, Any], encoding: str) -> None:
    value["warnings"] = ["→ ∑ 東京"]
    kept = "→ ∑ 東京".encode(encoding, "replace").decode(encoding)
    assert f"\nWarning: {kept}\n" in printed(value, 80, encoding)


def test_no_colours_when_piped_and_some_on_a_terminal(value: dict[str, Any]) -> None:
    assert "\x1b" not in printed(value)
    assert "\x1b[" in printed(value, colours=True)


def test_hostile_text_is_shown_and_not_obeyed(value: dict[str, Any]) -> None:
    value["name"] = "[bold]n[/bold]\x1b[2J"
    value["warnings"] = ["\u202egnp.exe [link=file:///]x[/link]"]
    context = {"before": "", "token": "\x1b]0;t\x07", "after": "", "activation": 1.0}
    value["domains"]["law"]["why"] = [{"feature": 1, "share": 0.5, "contexts": [context]}]
    text = printed(value, 200)
    assert "Warning: [U+202E]gnp.exe [link=file:///]x[/link]\n" in text
    assert "[bold]n[/bold][U+001B][2J: 220 extra rows" in text
    assert "[[U+001B]]0;t[U+0007]]" in text
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)


def test_a_plan_without_a_mixture_has_no_target_line(value: dict[str, Any]) -> None:
    value["mixture"] = None
    text = printed(value, 200)
    assert "quickstart: 220 extra rows over 16 domains. The most rows: " in text
    assert "\ntarget" not in text


def test_a_budget_in_tokens_says_so(value: dict[str, Any]) -> None:
    value["allocation"].update(unit="tokens", budget=22000)
    text = printed(value, 200)
    assert "22,000 extra tokens over 16 domains beside 820 target rows." in text
    assert "\n22,000 tokens are expected to remove " in text


def outcome_printed(width: int = 80, encoding: str = "utf-8", **options: Any) -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, newline="\n", write_through=True)
    show_outcome(*saved_run.sample(**options), Console(file=file, width=width, highlight=False), PAGE)
    return raw.getvalue().decode(encoding)


def test_an_outcome_says_its_verdict_first_then_what_was_wrong_and_last_where_the_page_is() -> None:
    lines = outcome_printed(200).splitlines()
    _, outcome = saved_run.sample()
    assert lines[0] == f"quickstart: {outcome.summary[0]}"
    warnings = [line for line in lines if line.startswith("Warning: ")]
    assert warnings[0].startswith("Warning: 3 of 12 domains moved outside their forecast: ")
    assert warnings[1] == "Warning: 2 rows of law were cut to the longest length that the job reads."
    titles = ["Before and after", "Arms over 10 domains, 3 seeds"]
    others = ["Predicted against measured", "What the optimiser read", "Every pair of arms"]
    assert [line for line in lines if line in (*titles, *others)] == titles
    assert lines.index(warnings[-1]) < lines.index("Before and after")
    assert lines[-1] == f"Report: {PAGE}"


def test_at_most_five_lines_follow_an_outcomes_tables() -> None:
    lines = outcome_printed(1000).splitlines()
    last = max(i for i, line in enumerate(lines) if not line)
    assert 1 < len(lines) - last - 1 <= 5
    _, outcome = saved_run.sample()
    assert len(how_right(outcome)) <= 4


def test_an_outcome_in_eighty_columns_keeps_change_interval_and_verdict() -> None:
    text = outcome_printed(80)
    _, outcome = saved_run.sample()
    for name, measured in [("target", outcome.target), *outcome.domains.items()]:
        assert measured.change is not None
        unit = quantity(measured.quantity or "")
        figures = f"{unit.change(measured.change.change)}  *{unit.bounds(measured.change.low, measured.change.high)}"
        pattern = re.escape(figures).replace(r"\ \ \*", " +")
        assert re.search(rf"^{name} .*{pattern} .*{measured.change.direction}", text, re.MULTILINE), name


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 200])
@pytest.mark.parametrize("forecast", ["learned", "relative", "none"])
def test_no_line_of_an_outcome_is_wider_than_the_terminal(width: int, forecast: str) -> None:
    lines = outcome_printed(width, forecast=forecast).splitlines()
    assert max(cell_len(line) for line in lines[:-1]) <= width


def test_an_outcome_in_ascii() -> None:
    assert "95 %" in outcome_printed(120, "ascii")


@pytest.mark.parametrize("width", [30, 80, 160])
def test_several_runs_fit_the_terminal(width: int) -> None:
    raw = io.StringIO()
    runs = [(f"runs/{seed}", *saved_run.sample(seed)) for seed in range(4)]
    show_several(runs, Console(file=raw, width=width, highlight=False))
    lines = raw.getvalue().splitlines()
    assert max(map(cell_len, lines)) <= width
    for label, _, _ in runs:
        assert label in raw.getvalue()


def test_what_became_of_answers_in_the_model_s_own_words_is_said(value: dict[str, Any]) -> None:
    voice = {"rows": 9, "rewritten": 7, "stays": {"cut": 2}, "given": None, "own": None, "answer_tokens": 8}
    part = {"name": "target", "rows": 9, "distinct_rows": 9, "most_uses": 1, "answers": {"gold": 2, "own_voice": 7},
            "empty_answers": 0, "cut_answers": 0, "tokens": None, "longest_tokens": None, "data": "x", "licence": None,
            "voice": voice}  # fmt: skip
    value["mixture"]["parts"] = [part]
    plan = Plan.model_validate_json(json.dumps(value))
    raw = io.StringIO()
    show(plan, Console(file=raw, width=400, highlight=False), PAGE)
    for words in (
        "are in the model's own words. As given stay 2: 2 that the model had not ended.",
        "7 of 9 answers of",
    ):
        assert words in raw.getvalue()
        assert words in html.unescape(render(plan))
