"""The paper's Llama-3 recipe through the real hub code: a tiny model, SAE and rows under the public names, offline."""

import io
import json
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mixplan.plan import PlanRequest, make_plan

COMMIT = "0123456789abcdef0123456789abcdef01234567"
RECIPE = Path(__file__).parent.parent / "recipes" / "limo-llama3.yaml"
SUBJECTS = ("biology", "business", "chemistry", "computer science", "economics", "engineering", "health", "history",
            "law", "math", "other", "philosophy", "physics", "psychology")  # fmt: skip
BLOCKS = 26
"""Block 25 is the one that the SAE reads."""


class Silent:
    def stage(self, name, total, unit):
        pass

    def advance(self, amount):
        pass

    def say(self, text):
        pass


def lay(kind: str, name: str) -> Path:
    """An empty snapshot in the hub's cache, current under `main`."""
    root = Path(os.environ["HF_HOME"]) / "hub" / f"{kind}--{name.replace('/', '--')}"
    shutil.rmtree(root, ignore_errors=True)
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(COMMIT)
    (root / "snapshots" / COMMIT).mkdir(parents=True)
    return root / "snapshots" / COMMIT


def lay_rows(name: str, splits: dict[str, list[dict]]) -> None:
    folder = lay("datasets", name)
    lines = ["---", "configs:", "- config_name: default", "  data_files:"]
    for split, rows in splits.items():
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), buffer)
        (folder / f"{split}.parquet").write_bytes(buffer.getvalue())
        lines += [f"  - split: {split}", f"    path: {split}.parquet"]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]))


def row(subject: str, number: int, split: str) -> dict:
    return {
        "question": f"{split}: what is the {subject} answer {number}?",
        "options": ["the fox", "a dog", "lazy", "sum"],
        "answer": "ABCD"[number % 4],
        "answer_index": number % 4,
        "category": subject,
        "cot_content": f"the quick brown fox jumps {number}",
    }


@pytest.fixture(scope="module")
def hub(build_model, tiny_sae):
    folder = lay("models", "meta-llama/Meta-Llama-3-8B-Instruct")
    build_model("llama", folder, num_hidden_layers=BLOCKS)
    sae = lay("models", "Juliushanhanhan/llama-3-8b-it-res") / "blocks.25.hook_resid_post"
    tiny_sae("standard", 32, 160, "blocks.25.hook_resid_post", sae, model_name="meta-llama/Meta-Llama-3-8B-Instruct")
    lay_rows("GAIR/LIMO", {"train": [
        {"question": f"what is the sum of {n} and 12?", "solution": f"The answer is {n + 12}", "answer": str(n + 12)}
        for n in range(40)
    ]})  # fmt: skip
    lay_rows("TIGER-Lab/MMLU-Pro", {
        "test": [row(subject, n, "test") for subject in SUBJECTS for n in range(24)],
        "validation": [row(subject, n, "validation") for subject in SUBJECTS for n in range(5)],
    })  # fmt: skip


def test_the_papers_recipe_plans_unchanged_but_for_row_counts(hub, tmp_path):
    sizes = ["target.split.query=12", "target.split.demonstration=4", "drift.query_tokens=120", "sts.query_tokens=60",
             "budget.rows=28", "mixture.answer_tokens=4", "model.device=cpu", "sts.resamples=100"]  # fmt: skip
    for subject in SUBJECTS:
        key = f"domains.{subject.replace(' ', '_')}.split"
        sizes += [f"{key}.evaluation=4", f"{key}.query=8"]
    folder = make_plan(PlanRequest(RECIPE, tuple(sizes), None, tmp_path / "run"), watcher=Silent())
    plan = json.loads((folder / "plan.json").read_text())
    assert plan["model"]["dtype"] == "bfloat16"
    assert (plan["sae"]["hook_name"], plan["sae"]["layer"]) == ("blocks.25.hook_resid_post", 25)
    assert len(plan["drift"]["features"]) == 100
    assert len(plan["domains"]) == 14
    assert sum(plan["allocation"]["rows"].values()) == 28
    assert plan["mixture"]["target_rows"] == 40 - 12 - 4
    answers = {part["name"]: part["answers"] for part in plan["mixture"]["parts"]}
    assert sum(found.get("self", 0) for name, found in answers.items() if name != "target") == 28
