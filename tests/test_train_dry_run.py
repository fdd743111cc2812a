"""What TRL, peft, accelerate or a tracker would refuse of a job is said before anything is measured."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from mixplan.errors import RecipeError, RunError, TrainError
from mixplan.recipe import load_recipe
from mixplan.train import dry_run
from mixplan.train.dry_run import job_of, missing_packages, problems_of_training, refuse_untrainable_job, refused
from mixplan.train.job import Job

REPOSITORY = Path(__file__).resolve().parents[1]
RECIPE = """\
model: {{name: {model}, dtype: float32, device: cpu, sae: {{path: sae}}}}
target:
  data: {{file: rows.jsonl}}
  format: question_answer
  columns: {{question: q, answer: a}}
domains:
  sums:
    data: {{file: rows.jsonl}}
    format: question_answer
    columns: {{question: q, answer: a}}
budget: {{rows: [2, 6]}}
mixture: {{target_rows: 4}}
train: {{method: {method}, args: {{{args}}}, lora: {lora}}}
"""


@pytest.fixture
def recipe(tmp_path, tiny_model):
    def written(args="", *, method="sft", lora="null", model=tiny_model):
        path = tmp_path / "recipe.yaml"
        path.write_text(RECIPE.format(model=model, method=method, args=args, lora=lora))
        return load_recipe(path)

    return written


@pytest.fixture
def asked(monkeypatch) -> list[bool]:
    """The libraries are asked in this process, which is quicker; how often, and whether with the model."""
    from mixplan.train.dry_run_process import rehearse

    times: list[bool] = []

    def here(questions):
        times.extend(one["with_model"] for one in questions)
        return [rehearse(Job(**json.loads(json.dumps(one["job"]))), with_model=one["with_model"]) for one in questions]

    monkeypatch.setattr(dry_run, "asked_of_libraries", here)
    return times


@pytest.mark.parametrize(
    ("args", "method", "lora", "expected"),
    [
        ("assistant_only_loss: true", "sft", "null", "train.args: this job cannot be trained: ValueError: The c"),
        ("padding_free: true", "sft", "null", "When `padding_free=True` without packing"),
        ("eos_token: <|im_end|>", "sft", "null", "is not found in the vocabulary"),
        ("load_best_model_at_end: true", "sft", "null", "requires the save and eval strategy to match"),
        ("optim: adamw_8bit", "sft", "null", "You need to install `bitsandbytes`"),
        ("num_train_epochs: 0", "sft", "null", "train.args.num_train_epochs: 0 epochs train nothing."),
        ("use_liger_kernel: true", "sft", "null", "Install it with `pip install liger-kernel`"),
        ("", "sft", "{r: 4, target_modules: [nothing]}", "train.lora.target_modules names 'nothing', but the model"),
        ("", "sft", "{r: 4, target_modules: [lm_head]}", "train.lora: this job cannot be trained: ValueError"),
        ("num_generations: 3, per_device_train_batch_size: 4", "grpo", "null",
         "(3). Set `train.args.num_generations` to 2 or 4, or `train.args.generation_batch_size` to 12."),
        ("num_generations: 1", "grpo", "null", "Set `train.args.num_generations` to 2 or more."),
        ("num_generations: 2, per_device_train_batch_size: 64", "grpo", "null", "takes 32 different prompts, but the"),
    ],
)  # fmt: skip
def test_what_would_end_a_job_is_said(recipe, asked, args, method, lora, expected):
    loaded = recipe(args, method=method, lora=lora)
    ((problem,),) = problems_of_training([loaded])
    assert expected in problem
    assert problem.startswith(f"{loaded.path}:13: train.")
    with pytest.raises(RecipeError) as caught:
        refuse_untrainable_job(loaded)
    assert str(caught.value) == problem


@pytest.mark.parametrize(
    ("args", "method", "lora"),
    [
        ("packing: true", "sft", "null"),
        ("max_length: null, save_strategy: epoch, neftune_noise_alpha: 5", "sft", "{r: 4, target_modules: all-linear}"),
        ("num_generations: 2, per_device_train_batch_size: 4, beta: 0.1", "grpo", "null"),
    ],
)
def test_what_trains_is_not_refused_and_asked_about_once(recipe, asked, args, method, lora):
    loaded = recipe(args, method=method, lora=lora)
    assert problems_of_training([loaded]) == [[]]
    assert problems_of_training([loaded]) == [[]]
    assert asked == [True]


def test_a_model_that_is_not_here_has_its_config_built_alone(recipe, asked):
    loaded = recipe("load_best_model_at_end: true", model="some/model")
    assert "requires the save and eval strategy" in problems_of_training([loaded])[0][0]
    assert problems_of_training([recipe("assistant_only_loss: true", model="some/model")]) == [[]]
    assert asked == [False, False]


def test_the_process_answers_as_this_one_about_all_at_once(recipe, real_libraries):
    first, second = refused([recipe("padding_free: true"), recipe()])
    assert "When `padding_free=True`" in str(first)
    assert second is None


def test_a_process_that_cannot_answer(recipe, real_libraries, monkeypatch):
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(TrainError, match=r"could not be built \(exit code 1\): nothing was printed"):
        refused([recipe()])


def test_a_job_s_values_travel(recipe):
    job = job_of(recipe("learning_rate: 0.5", method="grpo"))
    assert job.planned_rows == {"target": 4, "domains": 6}
    assert type(job)(**json.loads(json.dumps(asdict(job)))).train["args"]["learning_rate"] == 0.5


@pytest.fixture
def home(monkeypatch, tmp_path) -> Path:
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_DISABLED", "NETRC", "COMET_API_KEY", "NEPTUNE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("tracker", "variable"),
    [("wandb", "WANDB_API_KEY"), ("comet_ml", "COMET_API_KEY"), ("neptune", "NEPTUNE_API_TOKEN")],
)
def test_a_tracker_without_a_login(recipe, home, monkeypatch, tracker, variable):
    loaded = recipe(f"report_to: {tracker}")
    (problem,) = dry_run.login_missing(loaded)
    assert variable in problem
    assert list(dry_run.login_missing(recipe(f"report_to: [{tracker}, tensorboard]")))
    monkeypatch.setenv(variable, "x")
    assert list(dry_run.login_missing(loaded)) == []
    assert list(dry_run.login_missing(recipe())) == []


def test_a_space_of_trackios_without_a_login(recipe, home, monkeypatch):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    (problem,) = dry_run.login_missing(recipe("report_to: trackio, trackio_space_id: ann/board"))
    assert "nobody is logged in to the hub, where Trackio's Space ann/board is. Run `hf auth login`" in problem
    assert list(dry_run.login_missing(recipe("report_to: trackio"))) == []
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_x")
    assert list(dry_run.login_missing(recipe("report_to: trackio, trackio_space_id: ann/board"))) == []


@pytest.mark.parametrize("installed", [True, False])
def test_a_tracker_that_is_not_installed(recipe, monkeypatch, installed):
    monkeypatch.setattr(dry_run, "is_installed", lambda name: installed)
    problems = list(missing_packages(recipe("report_to: [trackio, mlflow]")))
    says = "train.args.report_to: the package trackio is not installed. Install it with `pip install trackio`"
    assert [says in problem for problem in problems] == ([] if installed else [True])


@pytest.mark.parametrize("installed", [True, False])
def test_all_trackers_are_those_that_are_installed(recipe, home, monkeypatch, installed):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if installed and name == "wandb" else None)
    problems = list(dry_run.login_missing(recipe("report_to: all")))
    assert [("WANDB_API_KEY" in problem) for problem in problems] == ([True] if installed else [])


def test_a_stored_login_counts(recipe, home, monkeypatch):
    loaded = recipe("report_to: wandb")
    (home / ".netrc").write_text("machine elsewhere\n  login user\n  password x\n")
    assert list(dry_run.login_missing(loaded))
    (home / ".netrc").write_text("machine api.wandb.ai\n  login user\n  password x\n")
    assert list(dry_run.login_missing(loaded)) == []


@pytest.mark.parametrize(
    ("asked_for", "args", "refused_as"),
    [
        ("bf16", "", "mixed_precision is bf16, but the recipe trains with float32"),
        ("fp16", "bf16: true", "mixed_precision is fp16, but the recipe trains with bf16"),
        ("'no'", "bf16: true", None),
        ("bf16", "bf16: true", None),
        ("fp8", "", "mixed_precision is fp8"),
    ],
)
def test_a_launch_file_that_computes_in_another_type(recipe, tmp_path, asked_for, args, refused_as):
    file = tmp_path / "launch.yaml"
    file.write_text(f"mixed_precision: {asked_for}\n")
    found = dry_run.overridden_precision(recipe(args), file)
    assert (found is None) == (refused_as is None)
    assert refused_as is None or refused_as in found


def test_a_launch_file_that_is_not_there(recipe, tmp_path):
    with pytest.raises(RunError, match="there is no file"):
        dry_run.overridden_precision(recipe(), tmp_path / "none.yaml")
    assert dry_run.overridden_precision(recipe(), None) is None


def test_vllm_is_asked_for(recipe):
    assert "pip install 'trl[vllm]'" in next(missing_packages(recipe("use_vllm: true", method="grpo")))


@pytest.mark.parametrize("mended", ["num_generations: 4", "num_generations: 3, generation_batch_size: 12"])
def test_the_size_that_is_named_is_taken(recipe, asked, mended):
    assert problems_of_training([recipe(f"{mended}, per_device_train_batch_size: 4", method="grpo")]) == [[]]


def test_shipped_recipes_are_known_to_be_trainable_without_asking(monkeypatch, tmp_path):
    def ask(questions):
        raise AssertionError("bin/dry-runs was not run since a recipe, a version or what is asked changed")

    monkeypatch.setattr(dry_run, "asked_of_libraries", ask)
    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path))
    recipes = [load_recipe(path) for path in sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))]
    chosen = [loaded for loaded in recipes if not {"bf16", "fp16", "tf32"} & set(loaded.recipe.train.args)]
    assert len(chosen) > 3
    monkeypatch.setattr(dry_run, "small_files", lambda loaded: {})
    assert refused(chosen) == [None] * len(chosen)
    changed = load_recipe(recipes[0].path.parent / "quickstart.yaml", ["train.args.max_steps=7"])
    with pytest.raises(AssertionError, match="bin/dry-runs"):
        refused([changed])


def test_a_refusal_is_asked_about_again_and_a_pattern_that_is_none_is_one(recipe, asked):
    broken = recipe(lora="{r: 4, target_modules: '*q_proj'}")
    for _ in range(2):
        with pytest.raises(RecipeError, match=r"'\*q_proj' is no regular expression"):
            refuse_untrainable_job(broken)
    assert asked == [True, True]


def test_a_tokenizer_saved_offline_is_the_one_saved_online(tmp_path):
    """How it was read stands in its settings, and would have the libraries asked again about a shipped job."""
    place = tmp_path / "tokenizer_config.json"

    def key(**values) -> str:
        place.write_text(json.dumps({"eos_token": "</s>"} | values))
        return dry_run.key_of({"job": {"model": {"name": "x"}}}, {place.name: place})

    assert key(is_local=True, local_files_only=True) == key(local_files_only=False) == key()
    assert key(eos_token="<|im_end|>") != key()
    place.write_text("[]")
    kept = dry_run.key_of({"job": {"model": {"name": "x"}}}, {place.name: place})
    place.write_text("{")
    assert kept != dry_run.key_of({"job": {"model": {"name": "x"}}}, {place.name: place})


@pytest.mark.parametrize("name", ["recipes/quickstart.yaml", "configs/starter.yaml"])
def test_the_libraries_are_not_asked_about_what_a_person_begins_with(asked, name):
    assert problems_of_training([load_recipe(REPOSITORY / name)]) == [[]]
    assert asked == []


def test_a_reward_that_is_not_there_is_said_without_asking_the_libraries(recipe, monkeypatch):
    monkeypatch.setattr(dry_run, "asked_of_libraries", lambda _: pytest.fail("the libraries were asked"))
    given = recipe("", method="grpo").path
    ((said,),) = problems_of_training([load_recipe(given, ("train.rewards={nowhere_at_all:score: 1.0}",))])
    assert "train.rewards.nowhere_at_all:score: no module 'nowhere_at_all' is in this folder or installed." in said
