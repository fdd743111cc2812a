"""Rows that are left out or changed are counted by cause, with the first of each."""

from mixplan.domains.row_problems import Causes


def test_causes_are_counted_with_their_first_row():
    causes = Causes()
    causes.leave_out("no answer", "rows.jsonl, line 3")
    causes.leave_out("no answer", "rows.jsonl, line 5")
    causes.leave_out("duplicate")
    causes.change("cut behind the last answer", "rows.jsonl, line 4")
    assert causes.left_out == {"no answer": 2, "duplicate": 1}
    assert causes.changed == {"cut behind the last answer": 1}
    assert causes.examples == {"no answer": "rows.jsonl, line 3", "cut behind the last answer": "rows.jsonl, line 4"}


def test_causes_of_two_sources_are_one_count():
    first, second = Causes(), Causes()
    first.leave_out("no answer", "one.jsonl, line 1")
    second.leave_out("no answer", "two.jsonl, line 1")
    second.leave_out("faulty", "two.jsonl, line 2: not JSON")
    first.add(second)
    assert first.left_out == {"no answer": 2, "faulty": 1}
    assert first.examples == {"no answer": "one.jsonl, line 1", "faulty": "two.jsonl, line 2: not JSON"}
