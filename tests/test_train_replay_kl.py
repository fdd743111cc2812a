"""The KL from the untrained model at domain rows: its gradients are those of a plainly written loss, in every form."""

import math
import os
import shutil
import signal
import time
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from small_jobs import lay_run, train_to_end, training_process
from tiny_families import tiny_lm
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig

from mixplan.errors import TrainError
from mixplan.runs import file_hash
from mixplan.train import replay_kl
from mixplan.train.job import Job
from mixplan.train.make import prepare
from mixplan.train.pieces import pieces
from mixplan.train.replay_kl import ReplayKl, factor_of, is_replay, replay_kl_of
from mixplan.train.sft import POSITION, CountedTrainer

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "and", "a", "sum", "of", "it"]
ROWS = [
    {"prompt": " ".join(WORDS[: 2 + 3 * n % 11]), "completion": " " + " ".join(WORDS[: 1 + 5 * n % 7]), POSITION: n}
    for n in range(8)
]
DOMAINS = ["target", "law", "target.sums", "fox", "law", "target", "fox", "target"]
RATE, WEIGHT = 0.5, 3.0
LORA = {"r": 4, "lora_dropout": 0.0, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}


def job(weight: float = WEIGHT, lora: dict | None = None) -> Job:
    train = {"method": "sft", "args": {}, "lora": lora, "replay_kl": {"weight": weight}}
    return Job(model={}, train=train, mixture="mixture", planned_rows={}, hashes={})


def prepared(folder, out, *, lora=False, near=True, weight=WEIGHT, **args) -> CountedTrainer:
    """A trainer of all rows in one step of plain gradient descent, whose model has already moved."""
    lm = AutoModelForCausalLM.from_pretrained(folder)
    given = {"per_device_train_batch_size": 8, "max_steps": 1, **args}
    term = replay_kl_of(job(weight, {} if lora else None), lm) if near else None
    trainer = CountedTrainer(
        model=lm,
        args=SFTConfig(
            output_dir=str(out), learning_rate=RATE, lr_scheduler_type="constant", optim="sgd", max_grad_norm=0.0,
            logging_steps=1, report_to="none", use_cpu=True, bf16=False, save_strategy="no", disable_tqdm=True,
            dataloader_pin_memory=False, seed=3, completion_only_loss=True, **given,
        ),
        train_dataset=Dataset.from_list(ROWS),
        processing_class=AutoTokenizer.from_pretrained(folder),
        peft_config=LoraConfig(**LORA) if lora else None,
    )  # fmt: skip
    trainer.replay_kl = term
    trainer.number_rows(DOMAINS)
    noise = torch.Generator().manual_seed(7)
    for value in trained_of(trainer).values():
        value.data += 0.05 * torch.randn(value.shape, generator=noise)
    return trainer


def trained_of(trainer) -> dict[str, torch.Tensor]:
    return {name: value for name, value in trainer.model.named_parameters() if value.requires_grad}


def plain_gradients(trainer, folder, *, lora: bool) -> tuple[dict[str, torch.Tensor], float]:
    """Gradients of the loss as it is written down, row by row, and the mean divergence of a replay token."""
    model = trainer.model
    first = AutoModelForCausalLM.from_pretrained(folder).eval()
    crossed, near, tokens, replayed = torch.zeros(()), torch.zeros(()), 0, 0
    for row, domain in zip(trainer.train_dataset, DOMAINS, strict=True):
        ids, labels = torch.tensor([row["input_ids"]]), torch.tensor(row["labels"])
        with torch.no_grad():
            before = first(input_ids=ids).logits[0]
        after = model(input_ids=ids).logits[0].log_softmax(-1)
        for place in range(1, len(labels)):
            if labels[place] == -100:
                continue
            tokens += 1
            crossed = crossed - after[place - 1, labels[place]]
            if domain in ("law", "fox"):
                replayed += 1
                u = before[place - 1].softmax(-1)
                near = near + (u * (u.log() - after[place - 1])).sum()
    named = trained_of(trainer)
    found = torch.autograd.grad((crossed + WEIGHT * near) / tokens, list(named.values()), allow_unused=True)
    model.zero_grad()
    return (
        {name: torch.zeros(()) if one is None else one for name, one in zip(named, found, strict=True)},
        float(near.detach()) / replayed,
    )


def stepped(trainer) -> dict[str, torch.Tensor]:
    """The gradients of the trainer's step, from how far plain descent moved each weight."""
    before = {name: value.detach().clone() for name, value in trained_of(trainer).items()}
    trainer.train()
    return {name: (before[name] - value.detach()) / RATE for name, value in trained_of(trainer).items()}


FORMS = {
    "full": {},
    "adapter": {"lora": True},
    "accumulated": {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4},
    "adapter, accumulated, checkpointing": {
        "lora": True, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2,
        "gradient_checkpointing": True,
    },
}  # fmt: skip


@pytest.mark.parametrize("cut", ["whole", "pieces", "few logits"])
@pytest.mark.parametrize("form", FORMS)
def test_gradients_are_those_of_the_loss_as_it_is_written(form, cut, tiny_model, tmp_path, monkeypatch):
    if cut == "pieces":
        monkeypatch.setattr("mixplan.train.sft.pieces", lambda inputs: pieces(inputs, 24))
    else:
        monkeypatch.setattr("mixplan.train.sft.divisible", lambda *_: False)
    if cut == "few logits":
        monkeypatch.setattr(replay_kl, "LOGIT_VALUES", {"cpu": 2 * 320})
    trainer = prepared(tiny_model, tmp_path, **FORMS[form])
    plain, mean = plain_gradients(trainer, tiny_model, lora="lora" in FORMS[form])
    ours = stepped(trainer)
    largest = max(float(value.abs().max()) for value in plain.values())
    assert largest > 1e-3
    for name, value in ours.items():
        assert float((value - plain[name]).abs().max()) < 2e-4 * largest, name
    logged = [entry["replay_kl"] for entry in trainer.state.log_history if "replay_kl" in entry]
    if trainer.args.gradient_accumulation_steps == 1:
        assert logged == [pytest.approx(mean, rel=1e-3)]


def test_without_the_term_the_gradients_are_others(tiny_model, tmp_path):
    plain, _ = plain_gradients(trainer := prepared(tiny_model, tmp_path), tiny_model, lora=False)
    trainer.replay_kl = None
    largest = max(float(value.abs().max()) for value in plain.values())
    ours = stepped(trainer)
    assert max(float((value - plain[name]).abs().max()) for name, value in ours.items()) > 0.05 * largest


def test_a_heavy_term_keeps_the_model_near_the_untrained_one_at_domain_rows(tiny_model, tmp_path):
    ends = []
    for weight in (0.01, 20.0):
        trainer = prepared(tiny_model, tmp_path / str(weight), weight=weight, max_steps=12)
        trainer.train()
        ends.append([entry["replay_kl"] for entry in trainer.state.log_history if "replay_kl" in entry][-1])
    assert ends[1] < 0.5 * ends[0]


def test_dropout_falls_on_the_trained_model_alone(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setitem(LORA, "lora_dropout", 0.5)
    trainer = prepared(tiny_model, tmp_path, lora=True)
    term = trainer.replay_kl
    ids = torch.arange(3, 12)[None]
    trainer.model.train()
    with torch.no_grad(), term.as_untrained(trainer.model) as untrained:
        assert not any(module.training for module in trainer.model.modules())
        found = untrained(input_ids=ids).logits
    with torch.no_grad():
        own = AutoModelForCausalLM.from_pretrained(tiny_model).eval()(input_ids=ids).logits
    torch.testing.assert_close(found, own)
    assert all(module.training for module in trainer.model.modules())
    assert all(value.requires_grad for name, value in trainer.model.named_parameters() if "lora_" in name)


def test_weight_0_is_no_term_and_several_processes_are_refused(tiny_model, monkeypatch):
    lm = AutoModelForCausalLM.from_pretrained(tiny_model)
    assert replay_kl_of(job(0.0), lm) is None
    assert replay_kl_of(Job({}, {"method": "sft", "args": {}, "lora": None}, "m", {}, {}), lm) is None
    copied = replay_kl_of(job(), lm)
    assert copied is not None
    assert copied.untrained is not lm
    assert not any(value.requires_grad for value in copied.untrained.parameters())
    monkeypatch.setattr(replay_kl, "PartialState", lambda: SimpleNamespace(num_processes=2))
    with pytest.raises(TrainError, match=r"2 processes train, and it trains in one alone\. Give --processes 1"):
        replay_kl_of(job(), lm)


def test_rows_of_the_target_and_its_sources_are_no_replay():
    assert [is_replay(name) for name in ("target", "target.law", "law", "targets")] == [False, False, True, True]


def test_a_head_that_reads_more_than_final_states_is_refused(tiny_model):
    lm = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    replay_kl.check_head(lm, torch.arange(3, 9)[None])
    forward = lm.forward
    lm.forward = lambda **given: SimpleNamespace(logits=forward(**given).logits * 2 + 1)
    with pytest.raises(TrainError, match="makes its logits of more than its final states"):
        replay_kl.check_head(lm, torch.arange(3, 9)[None])


@pytest.mark.parametrize("architecture", ["granite", "cohere", "gemma2", "gpt2"])
def test_heads_with_factors_and_caps_are_read_right(architecture, build_model, tmp_path):
    if architecture in ("granite", "cohere"):
        lm = tiny_lm(architecture)
    else:
        lm = AutoModelForCausalLM.from_pretrained(build_model(architecture, tmp_path / architecture))
    replay_kl.check_head(lm.eval(), torch.arange(3, 9)[None])


def test_factors_by_family():
    assert factor_of(SimpleNamespace(model_type="llama")) == 1
    assert factor_of(SimpleNamespace(model_type="granite", logits_scaling=4.0)) == 0.25
    assert factor_of(SimpleNamespace(model_type="hyperclovax", logits_scaling=4.0)) == 4
    assert factor_of(SimpleNamespace(model_type="cohere", logit_scale=0.06)) == 0.06


def test_a_step_s_mean_is_taken_once():
    term = ReplayKl(1.0, None, nats=3.0, tokens=2)
    assert term.taken() == 1.5
    assert term.taken() is None


ADAPTED = {"lora": {"r": 4, "lora_alpha": 8, "lora_dropout": 0.1, "target_modules": ["q_proj", "up_proj"]}}


@pytest.mark.parametrize("form", [{}, ADAPTED], ids=["full", "adapter"])
def test_a_job_that_was_killed_goes_on_to_the_same_weights(form, tmp_path, tiny_model):
    run, loaded, plan = lay_run(tmp_path, tiny_model, replay_kl={"weight": 2.0}, **form)
    prepare(run, loaded, plan)
    other = shutil.copytree(run, tmp_path / "other")
    process, log = training_process(other), other / "training" / "log.jsonl"
    until = time.monotonic() + 120
    while process.is_alive() and time.monotonic() < until:
        if log.exists() and '"event": "saved", "step": 4' in log.read_text():
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.002)
    process.join()
    assert not (other / "training" / "done.json").exists()
    whole, resumed = train_to_end(run), train_to_end(other)
    assert resumed["log"] == whole["log"]
    assert resumed["model_hash"] == whole["model_hash"]


def test_weight_0_gives_the_very_same_training_and_a_weight_another(tmp_path, tiny_model):
    ends = {}
    for name, more in {
        "none": {},
        "zero": {"replay_kl": {"weight": 0.0}},
        "some": {"replay_kl": {"weight": 5.0}},
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        run, loaded, plan = lay_run(folder, tiny_model, **more)
        prepare(run, loaded, plan)
        train_to_end(run)
        ends[name] = {path.name: file_hash(path) for path in (run / "model").glob("*.safetensors")}
    assert ends["none"] == ends["zero"] != ends["some"]


def test_a_token_that_may_never_come_is_no_part_of_the_divergence(tiny_model):
    lm = AutoModelForCausalLM.from_pretrained(tiny_model)
    term = replay_kl_of(job(), lm)
    head = torch.nn.Linear(32, lm.config.vocab_size)
    head.weight.data.copy_(lm.get_output_embeddings().weight.data)
    head.bias.data.zero_()
    head.bias.data[7] = -math.inf
    for model in (lm, term.untrained):
        model.set_output_embeddings(head)
    states = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
    near = (states + 0.1).requires_grad_()
    found = term.divergence(lm, states, near)
    found.backward()
    keep = [place for place in range(lm.config.vocab_size) if place != 7]
    logs, other = ((each @ head.weight.T)[:, keep].double().log_softmax(1) for each in (states, near.detach()))
    torch.testing.assert_close(found.double(), (logs.exp() * (logs - other)).sum(), rtol=1e-4, atol=1e-5)
    assert bool(torch.isfinite(near.grad).all())
