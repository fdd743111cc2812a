"""What the hub's cache holds whole is read offline by `check`; what it holds in part, or not, is left to the plan."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq

from mixplan.domains.cached_domains import at_hand
from mixplan.recipe import load_recipe

RECIPE = {
    "model": {"name": "embedded", "sae": {"embedded": True}},
    "target": {
        "data": {"hub": "some/questions"},
        "format": "question_answer",
        "columns": {"question": "q", "answer": "a"},
    },
    "domains": {
        "law": {
            "data": {"file": "rows.jsonl"},
            "format": "question_answer",
            "columns": {"question": "q", "answer": "a"},
        }
    },
    "budget": {"rows": 5},
}


def table(rows: int) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"q": [f"{n}?" for n in range(rows)], "a": [f"{n}" for n in range(rows)]}), file)
    return file.getvalue()


def test_rows_of_the_hub_s_cache_are_read_where_the_hub_is_off(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.setattr("mixplan.domains.hub._hub_copy", lambda spec: str(folder))
    (tmp_path / "recipe.yaml").write_text(json.dumps(RECIPE))
    lines = [json.dumps({"q": f"{n} and {n}?", "a": str(n)}) for n in range(30)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    root = tmp_path / "hub" / "datasets--some--questions"
    folder = root / "snapshots" / "abc"
    loaded = load_recipe(tmp_path / "recipe.yaml")
    assert sorted(at_hand(loaded)[0]) == ["law"]
    folder.mkdir(parents=True)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("abc")
    (folder / "train.parquet").write_bytes(table(40))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    assert sorted(at_hand(loaded)[0]) == ["law"]
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    found, problems = at_hand(loaded)
    assert (found["target"].source_rows, problems) == (40, [])


def test_what_was_opened_for_other_demonstrations_is_opened_again(tmp_path):
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps({"q": f"{n}?", "a": str(n)}) for n in range(60)))
    law = RECIPE["domains"]["law"]
    value = RECIPE | {"target": law, "domains": {"law": law | {"demonstrations": {"file": "rows.jsonl"}}}}
    (tmp_path / "recipe.yaml").write_text(json.dumps(value))
    counts = []
    for shown in (1, 12, 1):
        found, problems = at_hand(load_recipe(tmp_path / "recipe.yaml", [f"drift.demonstrations={shown}"]))
        assert problems == []
        counts.append(len(found["target"].demonstration))
    assert counts[0] == counts[2] < counts[1]
