"""Every recipe and config in the tree loads, opens as it should, and says what the paper's jobs say."""

import json
from pathlib import Path

import pytest
import yaml
from shipped_models import SHIPPED_MODELS

from mixplan.cli.preflight import unknown_sae
from mixplan.recipe import LoadedRecipe, load_recipe

REPOSITORY = Path(__file__).resolve().parents[1]
RECIPES = sorted((REPOSITORY / "recipes").glob("*.yaml"))
MODELS = sorted((REPOSITORY / "configs/models").glob("*.yaml"))
SUITES = sorted((REPOSITORY / "configs/domains").glob("*.yaml"))
EDITOR_LINE = "# yaml-language-server: $schema=../configs/recipe.schema.json"
PAPER = {
    "limo-llama3": ("GAIR/LIMO", "meta-llama/Meta-Llama-3-8B-Instruct", "llama-3-8b-it-res-jh"),
    "limo-qwen2.5": ("GAIR/LIMO", "Qwen/Qwen2.5-7B-Instruct", "qwen2.5-7b-instruct-andyrdt"),
    "limo-gemma2": ("GAIR/LIMO", "google/gemma-2-9b-it", "gemma-scope-9b-it-res"),
    "code-qwen2.5": (
        "open-r1/verifiable-coding-problems-python-10k",
        "Qwen/Qwen2.5-7B-Instruct",
        "qwen2.5-7b-instruct-andyrdt",
    ),
    "health-qwen2.5": (
        "moremilk/CoT_Reasoning_Mens_Mental_Health",
        "Qwen/Qwen2.5-7B-Instruct",
        "qwen2.5-7b-instruct-andyrdt",
    ),
}
SUBJECTS = (
    *("biology", "business", "chemistry", "computer_science", "economics", "engineering", "health", "history"),
    *("law", "math", "other", "philosophy", "physics", "psychology"),
)
FOR_SAE_TRAINING = (
    "BoolQ",
    "Quac",
    "MultiLexSum",
    "NQ-open",
    "HellaSwag",
    "PIQA/test",
    "CommonsenseQA/test",
    "MedMCQA-Test",
)
BASE = """\
target:
  data: {file: rows.jsonl}
  format: question_answer
  columns: {question: q, answer: a}
budget: {rows: 10}
"""


def named(path: Path) -> str:
    return path.stem


@pytest.fixture(scope="module")
def everyday() -> dict[str, dict]:
    return yaml.safe_load((REPOSITORY / "configs/domains/everyday.yaml").read_text())


@pytest.mark.parametrize("path", RECIPES, ids=named)
def test_a_recipe_loads_and_opens_with_purpose_command_cost_and_editor_line(path):
    loaded = load_recipe(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[1] == f"#   mixplan plan recipes/{path.name}"
    opening = lines[: next(number for number, line in enumerate(lines) if not line.startswith("#"))]
    assert opening[-1] == EDITOR_LINE
    assert " GB" in " ".join(opening)
    assert len(lines) <= 45
    assert len(loaded.recipe.domains) >= 12
    assert loaded.recipe.model.trust_remote_code is False


@pytest.mark.parametrize("path", MODELS, ids=named)
def test_a_model_config_loads_alone(path, tmp_path):
    (tmp_path / "r.yaml").write_text(f"model: {path.stem}\ndomains: everyday\n{BASE}")
    recipe = load_recipe(tmp_path / "r.yaml").recipe
    assert recipe.model.name == yaml.safe_load(path.read_text())["name"]


@pytest.mark.parametrize("path", SUITES, ids=named)
def test_a_domain_suite_loads_alone(path, tmp_path):
    (tmp_path / "r.yaml").write_text(f"model: smollm2-135m\ndomains: {path.stem}\n{BASE}")
    assert list(load_recipe(tmp_path / "r.yaml").recipe.domains) == list(yaml.safe_load(path.read_text()))


def test_every_config_is_named_by_a_recipe_or_planned_by_itself():
    named_by = [yaml.safe_load(path.read_text()) for path in RECIPES]
    assert {recipe["model"] for recipe in named_by} | set(SHIPPED_MODELS) == {path.stem for path in MODELS}
    assert {recipe["domains"] for recipe in named_by} == {path.stem for path in SUITES}


@pytest.mark.parametrize("name", PAPER)
def test_the_paper_s_jobs_have_the_paper_s_settings(name):
    recipe = load_recipe(REPOSITORY / f"recipes/{name}.yaml").recipe
    assert (recipe.target.data.hub, recipe.model.name, recipe.model.sae.release) == PAPER[name]
    assert (recipe.drift.features, recipe.drift.demonstrations, recipe.drift.query_tokens) == (100, 2, 20_000)
    assert (recipe.sts.score, recipe.sts.demonstrations, recipe.sts.query_tokens) == ("icl", 5, 10_000)
    assert (recipe.budget.rows, recipe.mixture.answers) == (220, "self")
    assert (recipe.allocate.objective, recipe.allocate.alpha) == ("alpha_fair", 1)
    args = recipe.train.args
    assert (args["num_train_epochs"], args["weight_decay"], args["adam_beta2"]) == (10, 0.01, 0.95)
    assert tuple(recipe.domains) == SUBJECTS
    for subject, domain in recipe.domains.items():
        assert domain.demonstrations is not None
        assert (domain.data.hub, domain.data.split) == ("TIGER-Lab/MMLU-Pro", "test")
        assert (domain.demonstrations.hub, domain.demonstrations.split) == ("TIGER-Lab/MMLU-Pro", "validation")
        category = {"category": subject.replace("_", " ")}
        assert domain.data.where == domain.demonstrations.where == category


def test_sae_ids_are_in_saelens_s_registry():
    problems = {path.stem: unknown_sae(load_recipe(path)) for path in RECIPES}
    assert problems == dict.fromkeys(problems)


def test_everyday_domains_are_offline_and_apart_from_the_sae_s_training_text(everyday):
    assert len(everyday) >= 12
    for domain in everyday.values():
        assert set(domain["data"]) <= {"package", "file", "generator", "limit"}
        assert not any(reserved in domain["data"].get("file", "") for reserved in FOR_SAE_TRAINING)
    sources = [domain["data"].get("file") or domain["data"]["generator"] for domain in everyday.values()]
    assert len(set(sources)) == len(sources)


def cost_tokens(loaded: LoadedRecipe, prefix_tokens: int) -> int:
    """Tokens that a plan reads: each query once bare and once a draw, each draw's demonstrations once."""
    drift, sts, domains = loaded.recipe.drift, loaded.recipe.sts, len(loaded.recipe.domains)
    target = drift.query_tokens * (1 + drift.draws) + drift.draws * drift.demonstrations * prefix_tokens
    each = sts.query_tokens * (1 + sts.draws) + sts.draws * sts.demonstrations * prefix_tokens
    return target + domains * each


def test_quickstart_reads_few_tokens():
    assert cost_tokens(load_recipe(REPOSITORY / "recipes/quickstart.yaml"), prefix_tokens=200) <= 120_000


def test_embedded_recipes_have_targets_of_different_kinds():
    embedded = [loaded.recipe for path in RECIPES if (loaded := load_recipe(path)).recipe.model.name == "embedded"]
    assert {recipe.target.format for recipe in embedded} == {"question_answer", "choice", "prompt_completion"}
    assert len({json.dumps(recipe.target.data.model_dump()) for recipe in embedded}) >= 4
