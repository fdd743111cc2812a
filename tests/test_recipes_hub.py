"""The paper's recipes through the real hub code: tiny models, SAEs and rows under the public names, offline."""

import json
from pathlib import Path

import pytest
from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory
from saved_hub import (
    GEMMA2,
    LLAMA3,
    QWEN2,
    lay,
    lay_parquet,
    save_dictionary_learning,
    save_gemma_scope,
    save_saelens5,
    speak,
    tensors,
)
from typer.testing import CliRunner

from mixplan.cli import app

RECIPES = Path(__file__).parent.parent / "recipes"
SUBJECTS = ("biology", "business", "chemistry", "computer science", "economics", "engineering", "health", "history",
            "law", "math", "other", "philosophy", "physics", "psychology")  # fmt: skip
QUERY, DEMONSTRATIONS, ROWS, D_IN, D_SAE = 10, 4, 8, 32, 160
WINDOW = 256
"""Room for some demonstrations, not for all: most of the time is spent on reading them, in bfloat16."""
LLAMA, QWEN, GEMMA = "meta-llama/Meta-Llama-3-8B-Instruct", "Qwen/Qwen2.5-7B-Instruct", "google/gemma-2-9b-it"


@pytest.fixture(scope="module")
def llama(build_model):
    folder = build_model("llama", lay("models", LLAMA), num_hidden_layers=26, max_position_embeddings=WINDOW)
    speak(folder, LLAMA3, sequence_start=True)
    sae = lay("models", "Juliushanhanhan/llama-3-8b-it-res") / "blocks.25.hook_resid_post"
    save_saelens5(sae, "blocks.25.hook_resid_post", LLAMA, tensors(D_IN, D_SAE))


@pytest.fixture(scope="module")
def qwen(build_model):
    folder = build_model("qwen2", lay("models", QWEN), num_hidden_layers=24, max_position_embeddings=WINDOW)
    speak(folder, QWEN2, sequence_start=False)
    sae = lay("models", "andyrdt/saes-qwen2.5-7b-instruct") / "resid_post_layer_23" / "trainer_1"
    save_dictionary_learning(sae, 23, QWEN, tensors(D_IN, D_SAE))


@pytest.fixture(scope="module")
def gemma(build_model):
    folder = build_model("gemma2", lay("models", GEMMA), num_hidden_layers=32, max_position_embeddings=WINDOW)
    speak(folder, GEMMA2, sequence_start=True)
    sae = lay("models", "google/gemma-scope-9b-it-res") / "layer_31" / "width_131k" / "average_l0_22"
    save_gemma_scope(sae, tensors(D_IN, D_SAE))


def subject_row(subject: str, number: int, split: str) -> dict:
    """A row of MMLU-Pro; only its validation split has worked answers."""
    letter = "ABCD"[number % 4]
    return {
        "question_id": 100 * SUBJECTS.index(subject) + number,
        "question": f"{split} {subject} {number}?",
        "options": ["fox", "dog", "the", "sum"],
        "answer": letter,
        "answer_index": number % 4,
        "cot_content": f"A: The answer is ({letter})." if split == "validation" else "",
        "category": subject,
        "src": f"cot_lib-{subject}",
    }


def coding_row(number: int) -> dict:
    return {
        "source": "apps",
        "task_type": "verifiable_code",
        "in_source_id": str(number),
        "problem": f"Solve with python: print the sum of {number} and 12.",
        "gold_standard_solution": f"```python\nprint({number} + 12)\n```" if number % 13 else None,
        "problem_id": f"vfc_{number}",
        "metadata": {"difficulty": "interview", "problem_url": None},
        "verification_info": {"language": "python", "test_cases": [{"fn_name": None, "input": "", "output": "30"}]},
    }


def health_row(number: int) -> dict:
    metadata = {"difficulty": 4, "topic": "men", "reasoning": f"Reason {number}: a doctor hears it.", "tags": ["cough"]}
    return {"id": number, "question": f"Who sees the fever {number}?", "answer": "A doctor.", "metadata": metadata}


@pytest.fixture(scope="module")
def data():
    lay_parquet("GAIR/LIMO", {"train": [
        {"question": f"what is the sum of {n} and 12?", "solution": f"The answer is {n + 12}", "answer": str(n + 12)}
        for n in range(30)
    ]})  # fmt: skip
    lay_parquet("open-r1/verifiable-coding-problems-python-10k", {"train": [coding_row(n) for n in range(30)]})
    health = lay("datasets", "moremilk/CoT_Reasoning_Mens_Mental_Health") / "CoT_Reasoning_Mens_Mental_Health.json"
    health.write_text(json.dumps([health_row(number) for number in range(30)], indent=1))
    lay_parquet("TIGER-Lab/MMLU-Pro", {
        "test": [subject_row(subject, n, "test") for subject in SUBJECTS for n in range(20)],
        "validation": [subject_row(subject, n, "validation") for subject in SUBJECTS for n in range(5)],
    })  # fmt: skip


@pytest.fixture
def tiny_gemma_scope(monkeypatch):
    """Gemma Scope's files hold no config: SAELens takes their sizes from the name, so its table says tiny ones."""
    release = get_pretrained_saes_directory()["gemma-scope-9b-it-res"]
    monkeypatch.setattr(release, "config_overrides", {"d_in": D_IN, "d_sae": D_SAE})


def counts(evaluation: int) -> list[str]:
    """Overrides of row and token counts, and of nothing else."""
    changes = {
        "target.split.evaluation": evaluation,
        "target.split.query": QUERY,
        "target.split.demonstration": DEMONSTRATIONS,
        "drift.query_tokens": 100,
        "sts.query_tokens": 40,
        "budget.rows": ROWS,
        "mixture.answer_tokens": 1,
        "mixture.cut_answers": "keep",  # a random model ends no answer
    }
    for subject in SUBJECTS:
        key = f"domains.{subject.replace(' ', '_')}.split"
        changes |= {f"{key}.evaluation": 4, f"{key}.query": 6}
    return [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]


def run(recipe: str, evaluation: int, folder: Path) -> dict:
    words = ["plan", str(RECIPES / recipe), "--run", str(folder), "--json", *counts(evaluation)]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads((folder / "plan.json").read_text())


def check(plan: dict, *, kind: str, hook_name: str, target_rows: int) -> None:
    sae = plan["sae"]
    assert (sae["kind"], sae["hook_name"], sae["d_in"], sae["d_sae"]) == (kind, hook_name, D_IN, D_SAE)
    assert plan["model"]["dtype"] == "bfloat16"
    assert len(plan["drift"]["features"]) == 100
    assert plan["drift"]["query_tokens"] == 100
    assert list(plan["domains"]) == [subject.replace(" ", "_") for subject in SUBJECTS]
    assert {reading["query_tokens"] for name, reading in plan["reading"].items() if name != "target"} == {40}
    assert sum(plan["allocation"]["rows"].values()) == ROWS
    assert plan["mixture"]["target_rows"] == target_rows
    answers = {part["name"]: part["answers"] for part in plan["mixture"]["parts"]}
    assert sum(found.get("self", 0) for name, found in answers.items() if name != "target") == ROWS


def test_limo_on_llama3(llama, data, tmp_path):
    plan = run("limo-llama3.yaml", 0, tmp_path / "run")
    check(plan, kind="standard", hook_name="blocks.25.hook_resid_post", target_rows=30)


def test_limo_on_gemma2(gemma, data, tiny_gemma_scope, tmp_path):
    plan = run("limo-gemma2.yaml", 0, tmp_path / "run")
    check(plan, kind="jumprelu", hook_name="blocks.31.hook_resid_post", target_rows=30)


@pytest.mark.parametrize(
    ("recipe", "evaluation", "left"),
    [
        ("limo-qwen2.5.yaml", 0, 30),
        ("code-qwen2.5.yaml", 3, 27),  # three of the rows have no solution
        ("health-qwen2.5.yaml", 3, 30),
    ],
)
def test_each_target_on_qwen(qwen, data, tmp_path, recipe, evaluation, left):
    plan = run(recipe, evaluation, tmp_path / "run")
    # Whatever was read is trained on too; only the evaluation rows are not.
    check(plan, kind="jumprelu", hook_name="blocks.23.hook_resid_post", target_rows=left - evaluation)
