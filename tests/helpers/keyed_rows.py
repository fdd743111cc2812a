"""Rows, data sets, models and SAEs with everything that a recipe's keys can name, for tests of each key."""

import io
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from saved_hub import save_saelens5, tensors
from small_plan import HOOK

from mixplan.runs import content_hash


def rows_of(topic: str, count: int) -> list[dict[str, Any]]:
    """Rows with every column that a case reads."""
    return [
        {
            "question": f"what is the {topic} of {n} and {n * 7 % 13} ?",
            "question2": f"tell the {topic} of {n} !",
            "answer": f"the answer is {n}",
            "answer2": f"{n} it is, quick brown fox",
            "system": "be brief, doctor",
            "rationale": f"the sum of {n} and the fox is lazy",
            "options": [f"fox {n}", f"dog {n + 1}"],
            "options2": [f"fever {n}", f"cough {n + 1}"],
            "letter": "AB"[n % 2],
            "chat": [{"role": "user", "content": f"{topic} {n}"}, {"role": "assistant", "content": f"{n}"}],
            "chat2": [{"role": "user", "content": f"the {topic} is {n}"}, {"role": "assistant", "content": f"so {n}"}],
            "options3": [f"fox {n}", f"dog {n + 1}", f"cat {n + 2}"],
            "pick": 1 + n % 2,
            "chat3": [
                {"role": "note", "by": "user", "content": f"{topic}", "says": "fever"},
                {"role": "user", "by": "user", "content": f"{topic} {n}", "says": f"doctor {n}"},
                {"role": "assistant", "by": "assistant", "content": f"{n}", "says": f"brown {n}"},
                {"role": "user", "by": "user", "content": f"more {topic} {n}", "says": f"more doctor {n}"},
                {"role": "assistant", "by": "assistant", "content": f"so {n}", "says": f"so brown {n}"},
            ],
            "tools": [{"name": topic}],
            "kind": ("even", "odd")[n % 2],
            "passage": f"three questions are asked about passage {n // 3}",
        }
        for n in range(count)
    ]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def lay_snapshots(kind: str, name: str) -> dict[str, Path]:
    """Two snapshots of a repository in the hub's cache: `main`, and a tag `v2`."""
    root = Path(os.environ["HF_HOME"]) / "hub" / f"{kind}--{name.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    snapshots = {}
    for reference in ("main", "v2"):
        commit = content_hash(name, reference)[:40]
        (root / "refs" / reference).write_text(commit)
        snapshots[reference] = root / "snapshots" / commit
        snapshots[reference].mkdir(parents=True)
    return snapshots


def lay_data(name: str) -> None:
    """A hub data set with two configurations of two splits, other rows in each of them and in each revision."""
    for reference, folder in lay_snapshots("datasets", name).items():
        lines = ["---", "configs:"]
        for config in ("default", "other"):
            lines += [f"- config_name: {config}", "  data_files:"]
            for split in ("train", "test"):
                data = io.BytesIO()
                pq.write_table(pa.Table.from_pylist(rows_of(f"{name} {config} {split} {reference}", 60)), data)
                (folder / f"{config}-{split}.parquet").write_bytes(data.getvalue())
                lines += [f"  - split: {split}", f"    path: {config}-{split}.parquet"]
        (folder / "README.md").write_text("\n".join([*lines, "---", ""]))


def lay_strangers(folder: Path) -> None:
    """Two SAEs made for another model: one that gives every stream back exactly, and one at random."""
    exact = torch.cat([torch.eye(32), -torch.eye(32)])
    nothing = {"b_enc": torch.zeros(64), "b_dec": torch.zeros(32)}
    parameters = {"W_enc": exact.T.contiguous(), "W_dec": exact, **nothing}
    save_saelens5(folder / "stranger", HOOK, "gemma-2-2b", parameters)
    save_saelens5(folder / "stranger_at_random", HOOK, "gemma-2-2b", tensors(32, 64))


def lay_dated(folder: Path) -> None:
    """Give a model a template with a date and a setting in front, and a sixth of all tokens as ends of answers."""
    template = folder / "chat_template.jinja"
    template.write_text("{{ strftime_now('%d %B %Y') }} {{ style | default('long') }} " + template.read_text())
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": list(range(2, 320, 6))}))


ID = "blocks.2.hook_resid_pre"


RELEASES = {
    "gpt2-small-res_scl-ajt": ("neuronpedia/gpt2-small__res_scl-ajt", ("2-res_scl-ajt", "6-res_scl-ajt")),
    "gpt2-small-res_sce-ajt": ("neuronpedia/gpt2-small__res_sce-ajt", ("2-res_sce-ajt",)),
}
"""Two releases of SAELens's registry that share an id, with their repositories and the folders in them."""


def lay_texts(folder: Path) -> None:
    """Files of rows, one with a broken line, and a package that holds some."""
    for topic, count in (("sum", 60), ("fox", 60), ("doctor", 42), ("other", 60), ("shots", 60)):
        write_rows(folder / f"{topic}.jsonl", rows_of(topic, count))
    with open(folder / "faulty.jsonl", "a") as file:
        file.write((folder / "shots.jsonl").read_text() + "{broken\n")
    (folder / "site" / "mixplan_rows").mkdir(parents=True)
    (folder / "site" / "mixplan_rows" / "__init__.py").touch()
    for name in ("sum", "fox", "shots"):
        write_rows(folder / "site" / "mixplan_rows" / f"{name}.jsonl", rows_of("package", 60))
