"""A monitor within TRL's own trainers: what it measures, what it leaves alone, stops, choices and resumption."""

import json
import math
import multiprocessing
import os
import re
import shutil
import socket
from pathlib import Path

import pytest
import torch
from small_trainers import STEPS, Tracker, grpo_trainer, plain_trainer, sft_trainer, train_as_rank, watch, weights
from transformers import TrainerCallback

from mixplan.domains.cached_domains import opened
from mixplan.errors import ModelError, RecipeError, RunError
from mixplan.evaluate.answering import Answering
from mixplan.evaluate.behaviour import make_answers, own_answers
from mixplan.evaluate.joint_measures import measure_together
from mixplan.features.forward import read_stream
from mixplan.model import load_model, load_trained
from mixplan.monitor import DomainMonitor
from mixplan.monitor.live import refuse_sharded
from mixplan.recipe import load_recipe
from mixplan.sae import load_sae
from mixplan.saved import read_plan
from mixplan.saved.trajectory import OWN, read_trajectory

ALWAYS = {"cost": 1e6, "tokens": 5}
"""Measures after each step, whatever it takes."""


@pytest.fixture
def run(trained):
    return trained[0]


def monitored(run: Path, trainer, **settings) -> DomainMonitor:
    monitor = DomainMonitor(run, trainer, **{**ALWAYS, **settings})
    watch(monitor, trainer)
    trainer.train()
    return monitor


@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
def test_weights_and_logs_are_those_of_a_training_without_it(run, tmp_path, lora):
    plain_tracker, tracker = Tracker(), Tracker()
    plain = sft_trainer(run, tmp_path / "plain", lora=lora, tracker=plain_tracker)
    plain.train()
    trainer = sft_trainer(run, tmp_path / "mine", lora=lora, tracker=tracker)
    monitor = monitored(run, trainer)
    before, after = weights(plain), weights(trainer)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert trainer.model.training

    def untimed(logs):
        timed = re.compile("^domain|^epoch|runtime|per_second")
        kept = [(step, {name: one[name] for name in one if not timed.search(name)}) for step, one in logs]
        return [(step, one) for step, one in kept if one]

    assert untimed(tracker.logs) == untimed(plain_tracker.logs)
    seen = [(step, logs) for step, logs in tracker.logs if "domain/worst_kl" in logs]
    assert [step for step, _ in seen] == list(range(STEPS + 1))
    parts = ("target", "patient", "fox", "doctor")
    told = {f"domain/{name}/{what}" for name in parts for what in ("kl", "bits_per_byte", "drift")}
    assert told <= seen[-1][1].keys()
    assert monitor.folder == run / "monitored" / "mine"
    kept = read_trajectory(monitor.folder)
    assert [point.step for point in kept.points] == list(range(STEPS + 1))
    assert kept.end.step == STEPS
    assert kept == monitor.trajectory
    first, last = kept.points[0], kept.points[-1]
    assert all(part.mean_kl == 0 and part.drift == 0 for part in first.parts.values())
    assert all(part.mean_kl > 0.001 and part.drift > 0 for part in last.parts.values())
    if lora:
        against_a_second_reading(run, trainer, kept, tmp_path / "saved")


def against_a_second_reading(run, trainer, kept, folder):
    """The last point against what the measures of an evaluation, and plain passes, say of the saved model."""
    loaded, plan = load_recipe(run / "recipe.yaml"), read_plan(run)
    trainer.save_model(str(folder))
    untrained, after = load_model(loaded.recipe.model), load_trained(loaded.recipe.model, folder)
    target, domains = opened(loaded)
    sae = load_sae(loaded.recipe.model.sae, untrained, folder=loaded.folder(("model", "sae", "path")))
    columns = [feature for feature, *_ in plan.drift.features]
    for name, domain in {"target": target, "fox": domains["fox"]}.items():
        point, rows = kept.points[-1].parts[name], domain.evaluation
        assert kept.begin.parts[name].rows == [row.id for row in rows]
        answers = make_answers(
            Answering(untrained), rows, answer_tokens=5, kept_at=folder / f"{name}.json", advance=lambda _: None
        )
        own = own_answers(untrained, rows, answers, folder / f"{name}.json")
        found = measure_together(after, rows, ["likelihood", "behaviour"], own=own, advance=lambda _: None)
        assert point.quantity == pytest.approx(found["likelihood"].values["bits_per_byte"], rel=1e-4)
        assert point.kl == pytest.approx(found["behaviour"].values["kl"], rel=1e-3)
        moved = []
        for _, tree in own.asked:
            ids = torch.tensor([[*tree.trunk, *tree.branches[0]]])
            streams = [read_stream(model, sae.depth, ids)[0, len(tree.trunk) - 1 : -1] for model in (untrained, after)]
            moved.append((sae.encode(streams[1]) - sae.encode(streams[0]))[:, columns].square().sum(dim=1))
        assert point.drift == pytest.approx(float(torch.cat(moved).mean()), rel=1e-3)


def test_grpo_is_left_as_it_is_too(run, tmp_path):
    plain = grpo_trainer(run, tmp_path / "plain")
    plain.train()
    trainer = grpo_trainer(run, tmp_path / "mine")
    monitor = monitored(run, trainer, drift=False)
    before, after = weights(plain), weights(trainer)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert [point.step for point in monitor.trajectory.points] == list(range(STEPS + 1))
    assert monitor.trajectory.points[-1].parts["target"].drift is None


def test_training_is_stopped_where_a_domain_moves_too_far(run, tmp_path, caplog):
    trainer = plain_trainer(run, tmp_path / "out")
    monitor = monitored(run, trainer, drift=False, stop={"worst_kl": 1e-4})
    assert trainer.state.global_step == 1
    assert (tmp_path / "out" / "checkpoint-1").is_dir()
    domain, worst = monitor.trajectory.points[-1].worst
    assert monitor.stopped == monitor.trajectory.end.stopped
    assert f"the mean KL of {domain} is {worst:.3g} nats per token, above" in caplog.text
    again = DomainMonitor(run, trainer, stop={"worst_kl": 1e-4})
    assert again.had_stopped(1)
    assert not DomainMonitor(run, trainer).had_stopped(1)


def test_the_best_checkpoint_is_kept_and_said_why(run, tmp_path, monkeypatch):
    trainer, pushed = plain_trainer(run, tmp_path / "out", lora=True), []
    trainer.args.push_to_hub = True
    monkeypatch.setattr(trainer, "push_to_hub", lambda **_: pushed.append(trainer.state.global_step))
    monitor = monitored(run, trainer, drift=False, keep="best")
    found = monitor.trajectory
    top = max(found.trained, key=lambda point: sum(found.gains(point)))
    within = []
    for point in found.front(found.trained):
        apart = [a - b for a, b in zip(found.gains(top), found.gains(point), strict=True)]
        centre = sum(apart) / len(apart)
        error = math.sqrt(sum((one - centre) ** 2 for one in apart) / (len(apart) - 1) / len(apart))
        if point.step and centre <= error:
            within.append((max(part.mean_kl for part in point.domains().values()), point.step))
    assert monitor.kept.step == min(within)[1]
    assert "rows of the target, so its gain on other rows is likely to be smaller" in monitor.kept.why
    model = load_trained(load_recipe(run / "recipe.yaml").recipe.model, monitor.folder / monitor.kept.folder)
    assert model.adapter is not None
    # The trainer pushes what its person saves, not the candidates.
    assert pushed == []
    trainer.save_model(str(tmp_path / "mine"))
    assert pushed == [STEPS]


class Killed(TrainerCallback):
    """Ends a training at a step, as a kill does: no later event is seen."""

    def on_step_end(self, args, state, control, **_):
        if state.global_step == 3:
            raise KeyboardInterrupt


@pytest.fixture
def unanswered(tmp_path, monkeypatch):
    """Has the run be one that was not evaluated before training; called, it forgets all that was answered since."""
    monkeypatch.setattr("mixplan.monitor.begin.Prepared.evaluated", lambda *_: {})
    return lambda: shutil.rmtree(tmp_path / "cache" / "monitor")


def test_a_resumed_training_goes_on_with_its_trajectory(run, tmp_path, unanswered):
    args = {"max_steps": 5, "save_strategy": "steps", "save_steps": 2}
    whole = monitored(run, plain_trainer(run, tmp_path / "whole", **args))
    cut = plain_trainer(run, tmp_path / "cut", **args)
    watch(DomainMonitor(run, cut, **ALWAYS), cut)
    cut.add_callback(Killed())
    with pytest.raises(KeyboardInterrupt):
        cut.train()
    assert [point.step for point in read_trajectory(run / "monitored" / "cut").points] == [0, 1, 2, 3]
    unanswered()
    resumed = plain_trainer(run, tmp_path / "cut", **args)
    monitor = DomainMonitor(run, resumed, **ALWAYS)
    watch(monitor, resumed)
    resumed.train(resume_from_checkpoint=True)
    found = read_trajectory(monitor.folder)
    assert [point.step for point in found.points] == list(range(6))
    assert [point.parts for point in found.points] == [point.parts for point in whole.trajectory.points]
    seconds = [point.seconds for point in found.points]
    assert seconds == sorted(seconds)
    # A model that has been trained is not asked for what the untrained one would have answered.
    monitor.during = monitor.during.model_copy(update={"tokens": 3})
    with pytest.raises(RunError, match="was not kept here, or for other rows, answers or features"):
        resumed.train(resume_from_checkpoint=True)
    assert not (tmp_path / "cache" / "monitor").exists()
    # Without what the untrained model gave, nothing could be held against it.
    monitor.folder = run / OWN
    with pytest.raises(RunError, match="goes on from step 5") as raised:
        resumed.train(resume_from_checkpoint=True)
    assert f"`mixplan train {run / 'recipe.yaml'} --run {run} --set evaluate.during=null`" in str(raised.value)


def test_a_training_that_was_stopped_goes_on_with_the_answers_of_its_beginning(run, tmp_path, unanswered):
    args = {"max_steps": 2, "save_strategy": "steps", "save_steps": 2}
    cut = plain_trainer(run, tmp_path / "cut", **args)
    stopped = monitored(run, cut, drift=False, stop={"worst_kl": 1e-4})
    assert [point.step for point in stopped.trajectory.points] == [0, 1]
    unanswered()
    resumed = plain_trainer(run, tmp_path / "cut", **args)
    monitor = DomainMonitor(run, resumed, **ALWAYS, drift=False)
    watch(monitor, resumed)
    resumed.train(resume_from_checkpoint=True)
    found = monitor.trajectory
    assert [point.step for point in found.points] == [0, 1, 2]
    assert (found.begin, found.points[:2]) == (stopped.trajectory.begin, stopped.trajectory.points)
    assert not (tmp_path / "cache" / "monitor").exists()


def test_a_measure_that_fails_does_not_end_the_training(run, tmp_path, monkeypatch, caplog):
    trainer = plain_trainer(run, tmp_path / "out")
    monitor = DomainMonitor(run, trainer, **ALWAYS, drift=False)
    watch(monitor, trainer)
    from mixplan.monitor.watch import Watch

    real = Watch.measure

    def measure(self, model, *, first=None):
        if first is not None:
            return real(self, model, first=first)
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(Watch, "measure", measure)
    trainer.train()
    assert trainer.state.global_step == STEPS
    assert [one.step for one in read_trajectory(monitor.folder).failed] == [1, 2, 3]
    assert "no memory" in caplog.text


def test_two_processes_measure_together_and_stop_together(run, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([f"mixplan.train.{name}" for name in ("worker", "sft", "grpo")])
    (tmp_path / "out").mkdir()
    started = []
    for rank in range(2):
        variables = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
                     "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1",
                     "MIXPLAN_CACHE": os.environ["MIXPLAN_CACHE"]}  # fmt: skip
        settings = {**ALWAYS, "stop": {"worst_kl": 0.15}, "drift": False}
        process = context.Process(target=train_as_rank, args=(str(run), str(tmp_path / "out"), variables, settings))
        process.start()
        started.append(process)
    for process in started:
        process.join(120)
        assert process.exitcode == 0
    one, two = (torch.load(tmp_path / "out" / f"rank-{rank}.pt", weights_only=True) for rank in range(2))
    assert (one["step"], one["points"]) == (two["step"], two["points"])
    assert all(torch.equal(one["weights"][name], two["weights"][name]) for name in one["weights"])
    found = read_trajectory(run / "monitored" / "out")
    assert found.begin.processes == 2
    assert found.end.stopped is not None
    assert [len(part.kl) for part in found.points[-1].parts.values()] == [6] * 4


def test_what_cannot_be_watched_is_refused(run, tmp_path, build_model):
    trainer = plain_trainer(run, tmp_path / "out")
    with pytest.raises(RecipeError, match="evry"):
        DomainMonitor(run, trainer, evry=2)
    with pytest.raises(RunError, match="cannot name a folder"):
        DomainMonitor(run, trainer, name="../elsewhere")
    with pytest.raises(ModelError, match="FSDP spreads the weights"):
        refuse_sharded(type("Accelerator", (), {"distributed_type": "DistributedType.FSDP"}))
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer

    other = AutoTokenizer.from_pretrained(read_plan(run).model.name)
    other.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=True)]
    )
    trainer.callback_handler.processing_class = trainer.processing_class = other
    with pytest.raises(ModelError, match="prompts as other tokens"):
        monitored(run, trainer)


def test_a_training_from_other_weights_is_said_to_be_one(run, tmp_path):
    trainer = plain_trainer(run, tmp_path / "out")
    with torch.no_grad():
        trainer.model.lm_head.weight.mul_(1.5)
    monitor = monitored(run, trainer, drift=False)
    assert "starts from other weights than the plan's" in monitor.warnings()[0]


def test_the_program_of_the_page_on_other_trainers_is_watched(run, tmp_path, monkeypatch):
    page = (Path(__file__).parent.parent / "docs" / "other-trainers.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python title=\"train.py\"\n(.*?)```", page, re.DOTALL)
    small = program.replace("HuggingFaceTB/SmolLM2-135M-Instruct", read_plan(run).model.name)
    small = small.replace('"none"', '"none", use_cpu=True, bf16=False, max_steps=2')
    assert small.count(read_plan(run).model.name) == small.count("max_steps") == 1
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    run.rename(tmp_path / "runs" / "mine")
    exec(small, {})
    found = read_trajectory(tmp_path / "runs" / "mine" / "monitored" / "my-model")
    assert found.end.step == 2
    assert found.begin.settings["cost"] == 0.05


def test_answers_of_the_runs_own_evaluation_are_taken(run, tmp_path):
    monitor = monitored(run, plain_trainer(run, tmp_path / "out"), drift=False)
    assert monitor.trajectory.begin.reused_answers
    assert json.loads((monitor.folder / "trajectory.jsonl").read_text().splitlines()[0])["version"] == 1
