"""Writes results and samples as lm-evaluation-harness does, small, and a planned run to judge by them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import saved_plan
import yaml

from mixplan.saved import plan_hash

DATES = ("2026-11-01T10-00-00.000001", "2026-11-02T10-00-00.000001")
READ_BY = {"train": {"method": "sft"}, "drift": {"features": 20, "demonstrations": 2}, "sts": {"demonstrations": 2}}
"""Keys of a recipe that an outcome takes over."""


def sha(value: Any) -> str:
    return hashlib.sha256((value if isinstance(value, str) else json.dumps(value, indent=2)).encode()).hexdigest()


def item(number: int, values: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """One sample; `filter`, `prompt`, `doc` and `answer` may be changed."""
    doc = changes.get("doc", {"question": f"question {number}", "answer": number % 4})
    prompt = changes.get("prompt", f"Q: {doc['question']}\nA:")
    return {
        "doc_id": number,
        "doc": doc,
        "target": str(doc["answer"]),
        "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": {"until": ["Q:"]}}},
        "resps": [[changes.get("answer", "")]],
        "filtered_resps": [changes.get("answer", "")],
        "filter": changes.get("filter", "none"),
        "metrics": list(values),
        "doc_hash": sha(doc),
        "prompt_hash": sha(prompt),
        "target_hash": sha(str(doc["answer"])),
        **values,
    }


def graded(right: str, metric: str = "acc", **changes: Any) -> list[dict[str, Any]]:
    """A sample for each character: `1` right, `0` wrong."""
    return [item(number, {metric: float(mark)}, **changes) for number, mark in enumerate(right)]


def task(samples: list[dict[str, Any]], *, better: dict[str, bool | None] | None = None, **changes: Any) -> Any:
    """A task's samples with what the results say of them; figures are means unless given as `figures`."""
    columns: dict[str, list[Any]] = {}
    for one in samples:
        for metric in one["metrics"]:
            columns.setdefault(f"{metric},{one['filter']}", []).append(one[metric])
    figures = {
        name: sum(values) / len(values)
        for name, values in columns.items()
        if all(isinstance(value, float) for value in values)
    }
    figures |= {name.replace(",", "_stderr,"): "N/A" for name in figures}
    metrics = [metric for one in samples[:1] for metric in one["metrics"]]
    return {
        "samples": samples,
        "figures": figures | changes.pop("figures", {}),
        "better": dict.fromkeys(metrics, True) if better is None else better,
        "config": {"output_type": "generate_until", "num_fewshot": 0, "repeats": 1, **changes.pop("config", {})},
        "version": changes.pop("version", 1.0),
        **changes,
    }


def write(folder: Path, tasks: dict[str, Any], *, model: str = "base", date: str = DATES[0], **changes: Any) -> Path:
    """Write one evaluation's files, named as the harness names them; returns the results file."""
    folder.mkdir(parents=True, exist_ok=True)
    hashes = {}
    for name, one in tasks.items():
        lines = [json.dumps(sample, ensure_ascii=False) + "\n" for sample in one["samples"]]
        (folder / f"samples_{name}_{date}.jsonl").write_text("".join(lines), encoding="utf-8")
        hashes[name] = sha("".join(s["doc_hash"] + s["prompt_hash"] + s["target_hash"] for s in one["samples"]))
    counts = {name: len({sample["doc_id"] for sample in one["samples"]}) for name, one in tasks.items()}
    results = {
        "results": {name: {"name": name, "alias": name, **one["figures"]} for name, one in tasks.items()},
        "group_subtasks": {},
        "configs": {name: one["config"] for name, one in tasks.items()},
        "versions": {name: one["version"] for name, one in tasks.items()},
        "n-shot": {name: one["config"]["num_fewshot"] for name, one in tasks.items()},
        "higher_is_better": {name: one["better"] for name, one in tasks.items()},
        "n-samples": {name: {"original": 2 * count, "effective": count} for name, count in counts.items()},
        "config": {"model": "hf", "model_args": {"pretrained": model}, "model_dtype": "torch.bfloat16"},
        "lm_eval_version": "0.4.13",
        "task_hashes": hashes,
        "model_name": model,
        **changes,
    }
    path = folder / f"results_{date}.json"
    path.write_text(json.dumps(results, indent=2), encoding="utf-8")
    return path


def planned(folder: Path, **evaluate: Any) -> Path:
    """A planned run with domains such as `law`, and its recipe."""
    plan = saved_plan.sample(0, 4)
    plan["recipe"] = {**plan.get("recipe", {}), **READ_BY}
    plan["model"]["name"] = "base"
    plan["hashes"]["plan"] = plan_hash(plan)
    saved_plan.save(folder, plan)
    data = {"data": {"file": "x.jsonl"}, "format": "question_answer", "columns": {"question": "q", "answer": "a"}}
    recipe = {
        "model": {"name": "base", "sae": {"path": "sae"}},
        "target": data,
        "domains": dict.fromkeys(plan["domains"], data),
        "budget": {"rows": 5},
        "evaluate": {"resamples": 200, **evaluate},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(recipe))))
    return folder
