"""The table of `bin/bench --against OLD` says what of each line's figures reaches its goal."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "bin"))

import bench_table
from bench_table import HEAD, LINES, Measured, kept_as, row


def line(number: str):
    return next(one for one in LINES if one.number == number)


READ = {"parts_faster_than_mask": 2.5, "parts_times_the_products": 1.6}
LIKELIHOOD = {
    "mixed": {"times_faster_by_processor_time": 1.5},
    "of_one_length": {"times_faster_by_processor_time": 1.15},
}
MEMORY = {"peak_mb": 0.24, "processor_seconds": 0.6, "largest_difference_of_a_loss": 3e-7}
SCALE = {
    "a source of JSON lines": {"now": {"thousand_rows_a_second": 151.0, "megabytes": 399.0}},
    "a mixture": {"now": {"megabytes": 34.0}},
    "an allocation with its duals": {"now": {"seconds": 0.7}},
}

COMMANDS = ("check, nothing kept", "--help", "plan again")
SHORT = {f"{name}{of}": {"now": 0.1, "ratio": 0.5} for name in COMMANDS for of in ("", ", processors")}


@pytest.mark.parametrize(
    ("number", "found", "reached"),
    [
        ("0", {"float32": READ, "bfloat16": READ}, "yes"),
        ("0", {"float32": READ, "bfloat16": READ | {"parts_times_the_products": 1.7}}, "in part"),
        ("1", {"ratios": {"second_over_old": {"processor": 0.25}, "first_over_old": {"processor": 1.1}}}, "yes"),
        ("1", {"ratios": {"second_over_old": {"processor": 0.26}, "first_over_old": {"processor": 1.2}}}, "no"),
        ("2", {"read": 5, "paper, by STS_ICL": {"tokens_of_full_mean": 0.31, "within_2_rows": 1.0}}, "no"),
        ("2", {"quickstart, by forecast": {"tokens_of_full_mean": 0.31, "within_2_rows": 0.95}}, "yes"),
        ("2", {"quickstart, by forecast": {"tokens_of_full_mean": 0.31, "within_2_rows": 0.94}}, "no"),
        ("3", {name: {"now": 300.0, "ratio": 0.51} for name in ("seconds", "processor seconds")}, "no"),
        ("3", {"seconds": {"now": 300.0, "ratio": 0.5}, "processor seconds": {"now": 300.0, "ratio": 0.6}}, "yes"),
        ("4", {"times_faster_by_processor_time": 2.0, "equal_answers": 15, "rows": 16}, "no"),
        ("4", {"times_faster_by_processor_time": 2.0, "equal_answers": 16, "rows": 16}, "yes"),
        ("5", LIKELIHOOD, "yes"),
        ("5", LIKELIHOOD | {"of_one_length": {"times_faster_by_processor_time": 1.14}}, "in part"),
        ("5", {name: {"times_faster_by_processor_time": 1.1} for name in LIKELIHOOD}, "no"),
        ("6", MEMORY, "yes"),
        ("6", MEMORY | {"largest_difference_of_a_loss": 2e-3}, "in part"),
        ("7", {"peak_over_loaded_mb": 501.0}, "no"),
        ("8", SHORT, "yes"),
        ("8", SHORT | {"plan again": {"now": 1.1, "ratio": 0.5}}, "in part"),
        ("8", SHORT | {"plan again, processors": {"now": 1.1, "ratio": 0.5}}, "yes"),
        ("9", SCALE, "yes"),
        ("9", SCALE | {"a mixture": {"now": {"megabytes": 400.0}}}, "in part"),
        ("10", {"ratios": {"new 1 over 2": {"scores": 1.8}}}, "yes"),
        ("10", {"ratios": {"new 1 over 2": {"scores": 1.9}, "new 1 over 4": {"scores": 3.1}}}, "in part"),
    ],
)
def test_a_goal_is_reached_where_every_part_of_it_is(number, found, reached):
    assert row(line(number), Measured(5, "all", found)).endswith(f" | 5 | {reached} |")


def test_what_fails_is_a_line_of_its_own_and_the_exit_code_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench_table, "measured", lambda *given: None)
    monkeypatch.setattr(
        sys, "argv", ["bench", "--against", str(tmp_path), "--only", "7", "--keep", str(tmp_path / "k")]
    )
    with pytest.raises(SystemExit) as ended:
        bench_table.main()
    assert ended.value.code == 1
    assert "| 7 | peak memory of a plan, 1.2B | 500 MB over what is loaded | measuring failed, see above | | |" in (
        capsys.readouterr().out
    )


def test_a_line_that_was_kept_is_not_measured_again(tmp_path, monkeypatch):
    kept = {"rounds": None, "threads": "2", "figures": {"peak_over_loaded_mb": 277.2}}
    (tmp_path / "7-plan-memory.json").write_text(json.dumps(kept))
    monkeypatch.setattr(bench_table.subprocess, "run", lambda *given, **named: pytest.fail("measured again"))
    found = bench_table.measured(line("7"), tmp_path, 5, tmp_path)
    assert row(line("7"), found).endswith("| 277 MB over the loaded model and SAE |  | yes |")


def test_a_command_that_fails_gives_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_table.subprocess, "run", lambda *given, **named: type("Done", (), {"returncode": 1})())
    assert bench_table.measured(line("9"), tmp_path, 1, tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_rounds_of_an_earlier_call_count_so_that_two_more_are_asked_for(tmp_path, monkeypatch):
    (tmp_path / "1-targets-sizes-paper-rounds.json").write_text("[{}, {}, {}]")
    asked = []
    answer = type("Done", (), {"returncode": 0, "stdout": "{}"})()
    monkeypatch.setattr(bench_table.subprocess, "run", lambda given, **named: asked.append(given) or answer)
    paper = next(line for line in LINES if "paper" in (line.command or ()))
    found = bench_table.measured(paper, tmp_path, 5, tmp_path)
    assert asked[0][asked[0].index("--rounds") + 1] == "2"
    assert found.rounds == 5
    assert bench_table.measured(paper, tmp_path, 5, tmp_path) == found
    assert len(asked) == 1


def test_whole_commands_go_on_with_the_rounds_that_are_kept_and_their_ratios_are_of_one_round(tmp_path, monkeypatch):
    kept = {
        "now": [{"seconds": 40.0, "processor seconds": 80.0}],
        "before": [{"seconds": 50.0, "processor seconds": 80.0}],
    }
    (tmp_path / "3-commands-rounds.json").write_text(json.dumps(kept))
    times = iter([(10.0, 20.0), (40.0, 40.0), (30.0, 30.0), (40.0, 50.0)])
    monkeypatch.setattr(bench_table, "spent", lambda *given: next(times))
    found = bench_table.measured(line("3"), tmp_path, 3, tmp_path)
    assert found.figures == {
        "seconds": {"now": 30.0, "ratio": 0.75}, "processor seconds": {"now": 30.0, "ratio": 0.6},
    }  # fmt: skip
    assert next(times, None) is None
    assert len(json.loads((tmp_path / "3-commands-rounds.json").read_text())["before"]) == 3


def test_the_page_s_table_is_printed_from_the_figures_beside_it():
    docs = Path(__file__).parent.parent / "docs"
    page = (docs / "performance.md").read_text(encoding="utf-8")
    table = page.partition(HEAD)[2].partition("\n\n")[0].splitlines()
    assert len(table) == len(LINES)
    kept = {line: docs / "measured" / f"{kept_as(line)}.json" for line in LINES}
    assert [line.number for line, path in kept.items() if not path.exists()] in ([], ["3"])
    for shown, (line, path) in zip(table, kept.items(), strict=True):
        if path.exists():
            assert shown == row(line, Measured(**json.loads(path.read_text(encoding="utf-8"))))
