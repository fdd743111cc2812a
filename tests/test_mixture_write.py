"""Mixtures are written in shards and bounded memory; standing and damaged folders and a full disk are told."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest
from sample_mixtures import REVERSED, all_bytes, build, make_domain, read_rows
from trl_templates import TEMPLATES, as_trl_trains, tokenizer_with

from mixplan.errors import RunError
from mixplan.mixture import read_mixture
from mixplan.model import hold_template
from mixplan.recipe import DataSpec, MixtureSpec, ModelSpec, SaeSpec, TrainSpec


def test_many_shards_hold_the_rows_once_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = build(tmp_path / "whole", {"law": 7, "history": 30})
    monkeypatch.setattr("mixplan.mixture.write.GROUP_ROWS", 4)
    monkeypatch.setattr("mixplan.mixture.write.SHARD_ROWS", 8)
    split = build(tmp_path / "split", {"law": 7, "history": 30})
    assert sorted(split.files)[1:] == ["sft.yaml", *(f"train-{i:05d}.parquet" for i in range(8))]
    assert read_rows(split.folder) == read_rows(whole.folder)
    assert split.hash == whole.hash
    loaded = datasets.load_dataset(str(split.folder), cache_dir=str(tmp_path / "cache"), split="train")
    assert loaded.to_list() == read_rows(whole.folder)


def test_long_rows_close_a_row_group_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixplan.mixture.write.GROUP_CHARACTERS", 1)
    mixture = build(tmp_path / "mixture", {"law": 3})
    assert pq.ParquetFile(mixture.folder / "train-00000.parquet").num_row_groups == 23


def test_content_hash_is_of_the_rows_in_order(tmp_path: Path) -> None:
    import hashlib

    mixture = build(tmp_path / "mixture", {"law": 3})
    lines = (
        json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False) for row in read_rows(mixture.folder)
    )
    assert mixture.hash == hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def test_a_standing_mixture_is_kept(tmp_path: Path) -> None:
    first = build(tmp_path / "mixture", {"law": 6})
    inode = (first.folder / "train-00000.parquet").stat().st_ino
    second = build(tmp_path / "mixture", {"law": 6})
    assert first == second == read_mixture(tmp_path / "mixture")
    assert (first.folder / "train-00000.parquet").stat().st_ino == inode


def test_a_new_plan_replaces_the_old_mixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixplan.mixture.write.GROUP_ROWS", 4)
    monkeypatch.setattr("mixplan.mixture.write.SHARD_ROWS", 8)
    build(tmp_path / "mixture", {"law": 6, "history": 30})
    second = build(tmp_path / "mixture", {"law": 2})
    assert len(read_rows(second.folder)) == 22
    assert [path.name for path in tmp_path.iterdir()] == ["mixture"]
    assert second.set_aside is None


@pytest.mark.parametrize("harm", ["damaged", "missing", "foreign", "record", "not a record", "not JSON"])
def test_a_damaged_or_foreign_folder_is_set_aside_and_rewritten(tmp_path: Path, harm: str) -> None:
    first = build(tmp_path / "mixture", {"law": 6})
    expected = all_bytes(first.folder)
    shard, record = first.folder / "train-00000.parquet", first.folder / "mixture.json"
    match harm:
        case "damaged":
            shard.write_bytes(shard.read_bytes()[:-1] + b"?")
        case "missing":
            shard.unlink()
        case "foreign":
            (first.folder / "train-00007.parquet").write_bytes(b"someone else's")
        case "record":
            record.write_text(record.read_text().replace('"rows": 6', '"rows": 7'))
        case "not a record":
            record.write_text("[]")
        case _:
            record.write_bytes(b"\xff{")
    assert read_mixture(first.folder) is None
    second = build(tmp_path / "mixture", {"law": 6})
    assert second.set_aside == tmp_path / "mixture.aside"
    assert all_bytes(second.folder) == expected
    assert second == first


def test_leftovers_of_a_killed_run_are_cleared(tmp_path: Path) -> None:
    for name in (".mixture.partial", ".mixture.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train-00000.parquet").write_bytes(b"half")
    mixture = build(tmp_path / "mixture", {"law": 6})
    assert [path.name for path in tmp_path.iterdir()] == ["mixture"]
    assert mixture.set_aside is None


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"rows": {"law": 5}},
        {"spec": MixtureSpec(target_rows=19)},
        {"train": TrainSpec(args={"learning_rate": 1e-5})},
        {"model_path": "elsewhere"},
        {"domains": {"law": REVERSED}},
        {"domains": {"law": make_domain("law", 10, data=DataSpec(file="law.jsonl"))}},
    ],
)
def test_any_changed_input_writes_anew(tmp_path: Path, change: dict[str, Any]) -> None:
    settings: dict[str, Any] = {"domains": {"law": make_domain("law", 10)}, "rows": {"law": 6}}
    first = build(tmp_path / "mixture", **settings)
    second = build(tmp_path / "mixture", **settings | change)
    assert second.inputs != first.inputs
    assert second.files != first.files


def test_unusable_folder_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(RunError) as caught:
        build(tmp_path / "run" / "mixture", {"law": 3})
    assert f"{tmp_path}/run: found a file, expected a folder. Move it away:" in str(caught.value)


def test_full_disk_is_one_message_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mixplan.mixture.write.os.fsync", full)
    with pytest.raises(RunError) as caught:
        build(tmp_path / "mixture", {"law": 3})
    assert str(caught.value) == (
        f"{tmp_path}/.mixture.partial/train-00000.parquet: the disk is full. "
        "Free some space and run the same command again: it resumes."
    )
    assert not list(tmp_path.iterdir())


MEMORY = """
import resource, sys
sys.path[:0] = {paths!r}
from pathlib import Path
from dataclasses import replace
import sample_mixtures as t
law = t.make_domain("law", 1000)
law = replace(law, pool=tuple(replace(row, answer=row.answer * 200) for row in law.pool))
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
t.build(Path({place!r}) / "small", {{"law": 3_000}}, domains={{"law": law}}, budget_max_repeats=1000)
before = peak()
mixture = t.build(Path({place!r}) / "large", {{"law": {rows}}}, domains={{"law": law}}, budget_max_repeats=1000)
print(peak() - before, mixture.rows, len(mixture.files))
"""


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    paths = [str(Path(__file__).parent / "helpers"), str(Path(__file__).parents[1])]
    script = MEMORY.format(paths=paths, place=str(tmp_path), rows=50_000)
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    grown, rows, files = map(int, done.stdout.split())
    assert (rows, files) == (50_020, 3)
    # The texts of 50,000 rows are 130 MB; only their order (16 bytes a row) and two row groups may be held.
    assert grown < 30


@pytest.mark.parametrize("thinking", [True, False])
def test_settings_in_the_rows_are_what_trl_trains_with(tmp_path: Path, thinking: bool) -> None:
    """The model's own template, given the rows, against the held template, given rows without settings."""
    model = ModelSpec(name="m", chat_template_kwargs={"enable_thinking": thinking}, sae=SaeSpec(embedded=True))
    mixture = build(tmp_path / "mixture", {"law": 2}, model=model)
    rows = datasets.load_dataset(str(mixture.folder), cache_dir=str(tmp_path / "cache"), split="train").to_list()
    assert {tuple(row["chat_template_kwargs"].items()) for row in rows} == {(("enable_thinking", thinking),)}
    assert (
        "`chat_template_kwargs`: what the model's chat template is given" in (mixture.folder / "README.md").read_text()
    )
    own, held = (tokenizer_with(TEMPLATES["qwen3_5_think"], tmp_path / "tokenizer") for _ in range(2))
    hold_template(held, "m", settings=model.chat_template_kwargs, date=None)
    bare = [{key: row[key] for key in ("prompt", "completion")} for row in rows]
    columns = ("input_ids", "labels")
    trained = [[row[name] for name in columns] for row in as_trl_trains(own, rows)]
    assert trained == [[row[name] for name in columns] for row in as_trl_trains(held, bare)]
