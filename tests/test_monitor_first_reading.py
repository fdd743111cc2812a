"""All that a monitor does keeps to its share of a training's time, by a clock that the test moves on."""

import pytest
from small_trainers import Charged, plain_trainer, sft_trainer, watch
from transformers import TrainerCallback

from mixplan.monitor import DomainMonitor
from mixplan.monitor.begin import Prepared
from mixplan.monitor.resume import ANSWERS
from mixplan.saved.trajectory import read_trajectory

STEPS, SECONDS = 16, 25.0
WAYS = {
    "full": (plain_trainer, {}),
    "lora": (plain_trainer, {"lora": True}),
    "accumulated": (sft_trainer, {"lora": True, "gradient_accumulation_steps": 4, "per_device_train_batch_size": 1}),
}


@pytest.fixture
def run(trained):
    return trained[0]


def monitored(run, trainer, clock, **settings) -> DomainMonitor:
    monitor = DomainMonitor(run, trainer, **{"tokens": 5, "drift": False, **settings})
    watch(monitor, trainer, clock)
    trainer.train()
    return monitor


def whole(run, trainer, monkeypatch):
    """What is measured of all rows at each step, and the tokens that a measure reads."""
    clock = Charged(monkeypatch, 1e6, reading=1.0)
    found = monitored(run, trainer, clock, cost=1e6, every=1).trajectory
    monkeypatch.undo()
    return found, clock.taken / len(found.points)


@pytest.mark.parametrize("way", WAYS)
def test_by_default_a_short_training_is_measured_on_fewer_rows_within_the_bound(run, tmp_path, monkeypatch, way):
    make, args = WAYS[way]
    always, tokens = whole(run, make(run, tmp_path / "always", max_steps=STEPS, **args), monkeypatch)
    assert [point.step for point in always.points] == list(range(STEPS + 1))
    # 20 s for measuring in all: a measure of all rows takes 6, so there is room for three and the untrained model's.
    clock = Charged(monkeypatch, SECONDS, reading=6.0 / tokens)
    found = monitored(run, make(run, tmp_path / "mine", max_steps=STEPS, **args), clock).trajectory
    training = STEPS * SECONDS
    assert found.end.spent == pytest.approx(clock.taken)
    assert found.end.spent <= 0.05 * training
    assert found.end.seconds == pytest.approx(training + clock.taken)
    for point in found.points[1:]:
        assert point.spent <= 0.05 * point.step * SECONDS * (1 + 1e-9)
    assert len(found.points) - 1 >= 4
    assert found.points[1].step <= STEPS / 2
    rows = [len(part.rows) for part in found.begin.parts.values()]
    assert all(1 <= count < 6 for count in rows)
    assert f"Only the first {min(rows)}" in found.begin.warnings[0]
    assert "of 6 evaluation rows of each part are measured" in found.begin.warnings[0]
    # Read late, the untrained model is what it was before the first step, and what is measured is the same.
    assert found.points[0].step == 0
    by_step = {point.step: point for point in always.points}
    for point in found.points:
        for name, part in point.parts.items():
            every = by_step[point.step].parts[name]
            kept = [always.begin.parts[name].rows.index(row) for row in found.begin.parts[name].rows]
            assert part.quantity == pytest.approx([every.quantity[n] for n in kept], rel=1e-4)
            assert part.kl == pytest.approx([every.kl[n] for n in kept], rel=1e-3, abs=1e-6)


def test_where_not_even_few_rows_can_be_paid_for_hardly_anything_is_spent_and_it_is_said(
    run, tmp_path, monkeypatch, caplog
):
    _, tokens = whole(run, plain_trainer(run, tmp_path / "always", max_steps=2), monkeypatch)
    clock = Charged(monkeypatch, SECONDS, reading=120.0 / tokens)  # so one row a part takes 20 s, and twice, 40
    monitor = monitored(run, plain_trainer(run, tmp_path / "mine", max_steps=STEPS), clock)
    found = read_trajectory(monitor.folder)
    assert found == monitor.trajectory
    assert found.points == ()
    assert found.end.left_out == STEPS
    assert found.end.spent == pytest.approx(clock.taken)
    assert 0 < clock.taken <= 0.05 * STEPS * SECONDS
    assert "At this speed, none before the training ends." in caplog.text
    assert f"0 measures were made and {STEPS} left out" in caplog.text
    assert (
        f"The monitor took {clock.taken:.3g} s: {100 * clock.taken / 400:.1f} % of the training's 400 s." in caplog.text
    )
    again = DomainMonitor(run, plain_trainer(run, tmp_path / "mine"), tokens=5, drift=False)
    again.conclude(STEPS)
    assert (again.trajectory.end.left_out, again.trajectory.end.spent) == (STEPS, found.end.spent)


def test_answers_that_must_be_made_are_paid_for_too(run, tmp_path, monkeypatch):
    _, tokens = whole(run, plain_trainer(run, tmp_path / "always", max_steps=2), monkeypatch)
    monkeypatch.setattr(Prepared, "evaluated", lambda *_: {})
    spent = {}
    for name, cost in (("default", {}), ("more", {"cost": 0.5})):
        with pytest.MonkeyPatch.context() as patch:
            clock = Charged(patch, SECONDS, reading=2.0 / tokens, answering=20.0 / tokens)
            monitor = monitored(run, plain_trainer(run, tmp_path / name, max_steps=STEPS), clock, **cost)
            spent[name] = monitor.trajectory
            assert monitor.trajectory.end.spent == pytest.approx(clock.taken)
            assert clock.taken <= cost.get("cost", 0.05) * STEPS * SECONDS
    assert len(spent["default"].points) > 1
    assert not spent["default"].begin.reused_answers
    assert [len(part.rows) for part in spent["more"].begin.parts.values()] == [6] * 4


class Killed(TrainerCallback):
    """Ends a training within a step, as a kill does: no later event is seen."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args, state, control, **_):
        if state.global_step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
@pytest.mark.parametrize("killed", [3, 13], ids=["before the untrained model was read", "behind"])
def test_a_training_that_was_killed_goes_on_with_its_trajectory_and_its_time(run, tmp_path, monkeypatch, lora, killed):
    always, tokens = whole(run, plain_trainer(run, tmp_path / "always", max_steps=STEPS, lora=lora), monkeypatch)
    clock = Charged(monkeypatch, SECONDS, reading=6.0 / tokens)
    args = {"max_steps": STEPS, "save_strategy": "steps", "save_steps": 2, "lora": lora}
    cut = plain_trainer(run, tmp_path / "cut", **args)
    watch(DomainMonitor(run, cut, tokens=5, drift=False), cut, clock)
    cut.add_callback(Killed(killed))
    with pytest.raises(KeyboardInterrupt):
        cut.train()
    before = read_trajectory(run / "monitored" / "cut")
    assert (before.points == ()) == (killed == 3)
    resumed = plain_trainer(run, tmp_path / "cut", **args)
    monitor = DomainMonitor(run, resumed, tokens=5, drift=False)
    watch(monitor, resumed, clock)
    resumed.train(resume_from_checkpoint=True)
    found = read_trajectory(monitor.folder)
    assert found.end.step == STEPS
    assert found.end.spent == pytest.approx(clock.taken)
    # Of what passed before the kill, all that was written down counts: but for the step that was cut, all.
    assert found.end.seconds == pytest.approx(clock.now - SECONDS * (killed + 1) + before.time[0] - before.time[1])
    assert found.end.spent <= 0.05 * (found.end.seconds - found.end.spent)
    assert len(found.points) > 3
    steps = [point.step for point in found.points]
    assert steps == sorted(set(steps))
    stays = [point for point in before.points if point.step <= killed // 2 * 2]
    assert list(found.points[: len(stays)]) == stays
    by_step = {point.step: point for point in always.points}
    for point in found.points:
        for name, part in point.parts.items():
            kept = [always.begin.parts[name].rows.index(row) for row in found.begin.parts[name].rows]
            assert part.kl == pytest.approx([by_step[point.step].parts[name].kl[n] for n in kept], rel=1e-3, abs=1e-6)
    assert (monitor.folder / ANSWERS).is_file()
    assert not (monitor.folder / "start.safetensors").exists()
