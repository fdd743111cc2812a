"""What a monitor prepares: rows that cannot be read are left out and told, and parts without any are not drawn as 0."""

from dataclasses import replace

import pytest
from small_trainers import plain_trainer, watch

from mixplan.errors import DataError
from mixplan.monitor import DomainMonitor, begin, rows


def lengthened(monkeypatch, longer):
    """Have some parts' rows, by their numbers, ask what no window holds."""

    def chosen(*arguments):
        found = rows.chosen_rows(*arguments)
        return {
            name: tuple(
                replace(row, prompt=(("user", "what is it ? " * 400),)) if number in longer.get(name, ()) else row
                for number, row in enumerate(part)
            )
            for name, part in found.items()
        }

    monkeypatch.setattr(begin, "chosen_rows", chosen)


def test_rows_that_do_not_fit_are_left_out_and_a_part_without_any_has_no_value(trained, tmp_path, monkeypatch):
    run, _ = trained
    lengthened(monkeypatch, {"fox": range(6), "doctor": [0, 2]})
    trainer = plain_trainer(run, tmp_path / "out")
    monitor = DomainMonitor(run, trainer, cost=1e6, tokens=5, drift=False)
    watch(monitor, trainer)
    trainer.train()
    found = monitor.trajectory
    assert set(found.begin.parts) == {"target", "patient", "doctor"}
    assert [len(part.rows) for part in found.begin.parts.values()] == [6, 6, 4]
    assert all(part.rows == part.kl_rows for part in found.begin.parts.values())
    # A domain of which nothing was read would be the one that moved by nothing.
    assert all(part.mean_kl > 0 for part in found.points[-1].parts.values())
    assert found.begin.warnings == [
        "Evaluation rows that do not fit the model's window with an answer of 5 tokens are not measured while it "
        "trains: fox 6 of 6, doctor 2 of 6."
    ]


def test_a_target_that_no_window_holds_is_refused(trained, tmp_path, monkeypatch):
    run, _ = trained
    lengthened(monkeypatch, {"target": range(6)})
    trainer = plain_trainer(run, tmp_path / "out")
    watch(DomainMonitor(run, trainer, cost=1e6, tokens=5, drift=False), trainer)
    with pytest.raises(DataError) as refused:
        trainer.train()
    assert str(refused.value) == (
        f"{run}: no evaluation row of the target fits the model's window of 512 tokens with an answer of 5. Lower "
        "`evaluate.during.tokens`, or shorten the rows with a template and plan again."
    )
