"""Builds folders of tiny random models and SAEs for the tests, each of which is offline and has a cache of its own."""

import atexit
import faulthandler
import fcntl
import gc
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

# Some tests press Ctrl-C, which processes started in a shell's background are born deaf to.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The hub's libraries read these once, when they are imported, so they are set before anything else is.
HUB_HOME = tempfile.mkdtemp(prefix="mixplan-tests-hub-")
atexit.register(shutil.rmtree, HUB_HOME, ignore_errors=True)
os.environ.update(
    HF_HOME=HUB_HOME,
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    TOKENIZERS_PARALLELISM="false",
    WANDB_MODE="disabled",
)
for name in ("HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_ENDPOINT", "HF_TOKEN", "TRANSFORMERS_CACHE"):
    os.environ.pop(name, None)

HIDDEN_SIZE = 32
LAYERS = 4
WINDOW = 512
EMBEDDED_TOKENS = 320
"""Wider than the tokenizer's vocabulary, as in many real models."""
SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<|user|>", "<|assistant|>", "<|system|>")
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}{{ eos_token }}\n"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
CORPUS = (
    "The quick brown fox jumps over the lazy dog. What is the sum of 12 and 30? The answer is 42. "
    "A patient with fever and cough sees a doctor; which of the following options is right? "
) * 4
ARCHITECTURES = ("llama", "gpt2", "gpt_neox", "qwen2", "qwen3", "gemma2", "gemma3", "mistral")
SAE_KINDS = ("standard", "gated", "jumprelu", "topk", "batchtopk")
LONG_FILES = (
    *("test_study_arms_make", "test_study_arms_learned", "test_outcome_make", "test_plan", "test_study_work"),
    *("test_outcome_compare", "test_plan_without_sae", "test_docs", "test_cli_check", "test_recipes_hub"),
    *("test_evaluate_harness", "test_mixture_trl_config", "test_train_worker", "test_plan_scores", "test_quickstart"),
    *("test_study_ablations_zeroing", "test_installed", "test_outcome_keys", "test_damage", "test_architecture"),
)
"""Files whose tests take longest, the longest first: begun last, one would keep all other processes waiting."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the files that take longest; leave out tests of browsers, trackers and harnesses not installed."""
    import browser

    there = {"browser": browser.installed() is not None, "inspect": find_spec("inspect_ai") is not None}
    absent = [
        item
        for item in items
        if any(not found and item.get_closest_marker(name) for name, found in there.items())
        or any(not all(map(find_spec, mark.args)) for mark in item.iter_markers("tracker"))
    ]
    config.hook.pytest_deselected(items=absent)
    items[:] = [item for item in items if item not in absent]
    items.sort(key=lambda item: (*LONG_FILES, item.path.stem).index(item.path.stem))


def pytest_collection_finish() -> None:
    """Spare later garbage collections the million objects of libraries, which the tests' modules have loaded by now."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Show where this process is, unless it ends within five minutes, and end it; several end each other."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        faulthandler.dump_traceback_later(300, exit=True, file=sys.__stderr__)


def pytest_runtest_setup() -> None:
    """Begin each test with the same random numbers, whatever ran before it."""
    import torch

    torch.manual_seed(0)


def pytest_sessionfinish() -> None:
    """Spare pytest's own last five garbage collections what all tests have left."""
    gc.freeze()


def save_tokenizer(folder: Path, *, chat: bool = True) -> None:
    """Save a byte-level BPE tokenizer of about 300 tokens that begins each text with `<s>`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=304, special_tokens=list(SPECIAL_TOKENS), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([CORPUS], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        model_max_length=WINDOW,
        chat_template=CHAT_TEMPLATE if chat else None,
    )
    wrapped.save_pretrained(folder)


def tiny_config(architecture: str, **changes: Any) -> Any:
    """A transformers config of the architecture: hidden size 32, 4 layers, 4 heads, a window of 512 tokens."""
    import transformers

    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    if architecture == "gpt2":
        sizes = {"n_embd": HIDDEN_SIZE, "n_layer": LAYERS, "n_head": 4, "n_positions": WINDOW}
        return transformers.GPT2Config(vocab_size=EMBEDDED_TOKENS, initializer_range=0.2, **tokens, **sizes | changes)
    sizes = {
        "hidden_size": HIDDEN_SIZE,
        "intermediate_size": 2 * HIDDEN_SIZE,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "max_position_embeddings": WINDOW,
    }
    if architecture != "gpt_neox":
        sizes |= {"num_key_value_heads": 2, "head_dim": HIDDEN_SIZE // 4}
    if architecture in ("gemma2", "gemma3", "mistral"):
        sizes |= {"sliding_window": 64}
    names = {
        "llama": "LlamaConfig",
        "gpt_neox": "GPTNeoXConfig",
        "qwen2": "Qwen2Config",
        "qwen3": "Qwen3Config",
        "gemma2": "Gemma2Config",
        "gemma3": "Gemma3TextConfig",
        "mistral": "MistralConfig",
    }
    config_class = getattr(transformers, names[architecture])
    return config_class(vocab_size=EMBEDDED_TOKENS, initializer_range=0.2, **tokens, **sizes | changes)


def save_model(architecture: str, folder: Path, *, seed: int = 0, chat: bool = True, **changes: Any) -> Path:
    """Save a random causal LM with its tokenizer, as `from_pretrained` reads them.

    Args:
        architecture: One of `ARCHITECTURES`.
        folder: Where to save; made when it is not there.
        seed: Of the random parameters.
        chat: Whether the tokenizer has a chat template.
        changes: Fields of the transformers config to change, such as `num_hidden_layers=2`.
    """
    import torch
    from transformers import AutoModelForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    save_tokenizer(folder, chat=chat)
    config = tiny_config(architecture, **changes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.save_pretrained(folder)
    return folder


def save_sae(
    kind: str,
    d_in: int,
    d_sae: int,
    hook_name: str,
    folder: Path,
    *,
    seed: int = 0,
    model_name: str | None = None,
    **changes: Any,
) -> Path:
    """Save a random SAE in SAELens's own layout (cfg.json, sae_weights.safetensors).

    Args:
        kind: One of `SAE_KINDS`; `batchtopk` is saved as JumpReLU, as SAELens does after training.
        d_in: Width of the residual stream.
        d_sae: How many features.
        hook_name: Such as `blocks.2.hook_resid_post`.
        folder: Where to save; made when it is not there.
        seed: Of the random parameters.
        model_name: The model named in the SAE's metadata.
        changes: Fields of the SAELens config to change, such as `normalize_activations="layer_norm"`.
    """
    import sae_lens
    import torch
    from sae_lens.saes.sae import SAEMetadata

    classes = {
        "standard": (sae_lens.StandardSAE, sae_lens.StandardSAEConfig),
        "gated": (sae_lens.GatedSAE, sae_lens.GatedSAEConfig),
        "jumprelu": (sae_lens.JumpReLUSAE, sae_lens.JumpReLUSAEConfig),
        "topk": (sae_lens.TopKSAE, sae_lens.TopKSAEConfig),
        "batchtopk": (sae_lens.BatchTopKTrainingSAE, sae_lens.BatchTopKTrainingSAEConfig),
    }
    sae_class, config_class = classes[kind]
    metadata = {"hook_name": hook_name} | ({"model_name": model_name} if model_name else {})
    fields = {"d_in": d_in, "d_sae": d_sae, "metadata": SAEMetadata(**metadata)}
    if kind in ("topk", "batchtopk"):
        fields["k"] = min(8, d_sae)
    sae = sae_class(config_class(**fields | changes))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in sorted(sae.state_dict().items()):
            # Biases are random too, so that a forgotten one shows; thresholds are positive, as after training.
            random = torch.randn(value.shape, generator=generator, dtype=torch.float32)
            scale = d_in**-0.5 if name.startswith("W_") else 0.1
            value.copy_((random * scale).abs() + 0.1 if "threshold" in name else random * scale)
    if kind == "batchtopk":
        sae.save_inference_model(folder)
    else:
        sae.save_model(folder)
    return folder


def built_once(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], object]) -> tuple[Path, Any]:
    """A folder that takes long to fill: filled by the first process of the test run that asks for it, for all of them.

    Args:
        factory: pytest's folders; those of several processes lie beside each other.
        name: The folder's.
        build: Fills it; what it returns is kept as JSON.

    Returns:
        The folder, and what `build` returned.
    """
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    folder = (factory.getbasetemp() if alone else factory.getbasetemp().parent) / f"shared-{name}"
    done = folder.with_suffix(".json")
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("MIXPLAN_CACHE", str(folder / "cache"))
                done.write_text(json.dumps(build(folder)))
    return folder, json.loads(done.read_text())


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random Llama: hidden size 32, 4 layers, chat template, window of 512 tokens."""
    return save_model("llama", tmp_path_factory.mktemp("tiny") / "llama")


@pytest.fixture(scope="session")
def build_model() -> Callable[..., Path]:
    """The function `save_model(architecture, folder, *, seed, chat, **changes)`, for a model of one's own."""
    return save_model


@pytest.fixture(scope="session", params=ARCHITECTURES)
def any_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random model; a test that asks for it runs once for each architecture (the folder's name)."""
    return save_model(request.param, tmp_path_factory.mktemp("any") / request.param)


@pytest.fixture(scope="session")
def tiny_sae() -> Callable[..., Path]:
    """The function `save_sae(kind, d_in, d_sae, hook_name, folder, *, seed, model_name, **changes)`."""
    return save_sae


@pytest.fixture(params=SAE_KINDS)
def sae_kind(request: pytest.FixtureRequest) -> str:
    """A test that asks for it runs once for each SAE kind."""
    return str(request.param)


@pytest.fixture(scope="session")
def real_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the embedded real model, converted once for all tests of the end-to-end tier."""
    from mixplan.model import embedded_folder

    _, place = built_once(tmp_path_factory, "real", lambda _: str(embedded_folder()))
    return Path(place)


@pytest.fixture(scope="session", autouse=True)
def even_race():
    """Compute types measure alike: on models this small a busy machine may find either the faster."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mixplan.model.device.time_matmul", lambda dtype, width: 1.0)
        yield


@pytest.fixture(scope="session", autouse=True)
def disk_not_waited_for():
    """Files are not waited for until the disk itself has them, which only a machine that loses power could tell."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def training_forked():
    """Training processes are forked from one that has the libraries loaded, which take many seconds to load."""
    from small_jobs import fork_training

    with pytest.MonkeyPatch.context() as patch:
        fork_training(patch)
        yield


@pytest.fixture(autouse=True)
def libraries_not_asked(monkeypatch) -> Any:
    """No command of this process asks TRL whether it would train a recipe, which takes seconds each time."""
    from mixplan.train import dry_run

    real = dry_run.asked_of_libraries
    monkeypatch.setattr(dry_run, "asked_of_libraries", lambda questions: [None] * len(questions))
    return real


@pytest.fixture
def real_libraries(libraries_not_asked, monkeypatch) -> None:
    """TRL is asked, in a process of its own."""
    monkeypatch.setattr("mixplan.train.dry_run.asked_of_libraries", libraries_not_asked)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results cache of the test's own, so that no test finds what another left."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("MIXPLAN_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def loop(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, tiny_sae: Callable[..., Path]
) -> tuple[Path, Path]:
    """The whole loop on a tiny model, run once: the folder with its data and `run`, and its cache."""
    from small_loop import lay, outcome

    from mixplan.train import launch

    def build(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("mixplan.train.make.start", launch.start)  # by accelerate, as a person's
            outcome(lay(folder, tiny_model, tiny_sae), run=folder / "run")

    folder, _ = built_once(tmp_path_factory, "loop", build)
    return folder, folder / "cache"


@pytest.fixture
def trained(
    loop: tuple[Path, Path], tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, dict[str, Any]]:
    """A copy of that run, with a copy of its cache, and its outcome."""
    folder, cache = loop
    shutil.copytree(cache, tmp_path / "cache")
    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "cache"))
    run = Path(shutil.copytree(folder / "run", tmp_path / "run"))
    return run, json.loads((run / "outcome.json").read_bytes())


@pytest.fixture(scope="session")
def whole_study(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, tiny_sae: Callable[..., Path]
) -> tuple[Path, list[str]]:
    """A study on a tiny model, run once to its end: the folder with its file, data, `run` and `cache`; what it said."""
    from small_study import lay, study

    def build(folder: Path) -> list[str]:
        return study(lay(folder, tiny_model, tiny_sae), folder / "run").said

    return built_once(tmp_path_factory, "study", build)


@pytest.fixture
def studied(whole_study: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that study's folder, its cache the one in use."""
    folder = Path(shutil.copytree(whole_study[0], tmp_path / "study"))
    monkeypatch.setenv("MIXPLAN_CACHE", str(folder / "cache"))
    return folder
