"""A data card says in the hub's words what the rows are, from where, under which licence, and what is restricted."""

from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import DatasetCard
from sample_mixtures import build, make_domain, read_rows

from mixplan.errors import RunError
from mixplan.push.data_set import gather_mixture, shard, size_category
from mixplan.push.private import OwnPlaces
from mixplan.push.request import Stated
from mixplan.recipe import load_recipe

COLUMNS = "format: prompt_completion, columns: {prompt: p, completion: c}"
RECIPE = f"""\
model: {{name: org/model, sae: {{embedded: true}}}}
target: {{data: {{hub: org/target}}, {COLUMNS}, licence: Apache 2.0}}
domains:
  law: {{data: {{hub: org/law, split: test}}, {COLUMNS}, licence: CC-BY-NC-4.0}}
  fox: {{data: {{hub: org/fox, split: train}}, {COLUMNS}}}
  own: {{data: {{file: /srv/private/own.jsonl}}, {COLUMNS}, licence: MIT}}
  unused: {{data: {{hub: org/unused}}, {COLUMNS}}}
budget: {{rows: 9}}
mixture: {{target_rows: 5}}
"""
PLACES = OwnPlaces(("/srv/private/own.jsonl",), ("/srv/private",))


@pytest.fixture
def planned(tmp_path):
    """A run folder with a mixture of data sets on the hub and of a file; its recipe and what its plan says of it."""
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    loaded = load_recipe(tmp_path / "recipe.yaml")
    opened = {
        name: make_domain(name, 12, spec=spec) for name, (_, spec) in loaded.recipe.row_sections.items()
    }  # fmt: skip
    target = opened.pop("target")
    rows = {"law": 4, "fox": 3, "own": 2, "unused": 0}
    mixture = build(tmp_path / "mixture", rows, target=target, domains=opened, spec=loaded.recipe.mixture)
    return tmp_path, loaded, SimpleNamespace(mixture=SimpleNamespace(hash=mixture.hash))


def card_of(gathered) -> DatasetCard:
    (card,) = (file for file in gathered.files if file.name == "README.md")
    return DatasetCard(card.content.decode())


def test_the_front_matter(planned):
    run, loaded, plan = planned
    card = card_of(gather_mixture(run, loaded, plan, Stated("ann/rows", ("en", "code")), PLACES))
    found = card.data.to_dict()
    assert found["source_datasets"] == ["org/target", "org/law", "org/fox", "original"]
    assert found["license"] == "unknown"
    assert found["language"] == ["en", "code"]
    assert found["size_categories"] == ["n<1K"]
    assert found["task_categories"] == ["text-generation"]
    assert found["tags"] == ["mixplan", "trl", "sft"]
    (config,) = found["configs"]
    assert config["data_files"] == [{"split": "train", "path": ["train-00000.parquet"]}]
    assert config["config_name"] == f"sft-{plan.mixture.hash[:16]}"
    stated = card_of(gather_mixture(run, loaded, plan, Stated("ann/rows", licence="CC-BY-4.0"), PLACES))
    assert stated.data.license == "cc-by-4.0"


def test_restricted_rows_are_counted_by_domain(planned):
    run, loaded, plan = planned
    gathered = gather_mixture(run, loaded, plan, Stated("ann/rows"), PLACES)
    assert gathered.restricted == (
        "4 rows have a licence that forbids commercial use: law 4.",
        "3 rows have no known licence: fox 3.",
        "4 rows come from a public test split, on which the trained model can then not be compared with others: law 4.",
    )
    content = card_of(gathered).content
    assert all(content.count(f"> {sentence}\n") == 1 for sentence in gathered.restricted)
    assert content.count("commercial use") == 1
    assert gathered.notes[0] == "2 rows come from files or generators of this machine: own 2."


def test_a_local_file_is_named_without_its_folder_and_all_else_stays(planned, tmp_path):
    run, loaded, plan = planned
    gathered = gather_mixture(run, loaded, plan, Stated("ann/rows"), PLACES)
    assert all(b"/srv/private" not in file.content for file in gathered.files if isinstance(file.content, bytes))
    pushed = tmp_path / "pushed"
    pushed.mkdir()
    content = gathered.files[0].content
    (pushed / "train-00000.parquet").write_bytes(content.read_bytes() if isinstance(content, Path) else content)
    assert pq.read_schema(pushed / "train-00000.parquet") == pq.read_schema(run / "mixture" / "train-00000.parquet")
    before, after = read_rows(run / "mixture"), read_rows(pushed)
    assert {row["data"] for row in before if row["domain"] == "own"} == {"own.jsonl"}
    assert before == after


def test_a_shard_without_local_files_goes_as_it_is(tmp_path):
    path = tmp_path / "train-00000.parquet"
    pq.write_table(pa.table({"data": ["org/law:test"], "x": [1]}), path)
    assert shard(path).content == path


def test_a_shard_of_an_earlier_version_loses_the_folders_of_its_local_files(tmp_path):
    path = tmp_path / "train-00000.parquet"
    pq.write_table(pa.table({"data": ["org/law:test", "/srv/private/own.jsonl"], "x": [1, 2]}), path)
    assert pq.read_table(pa.BufferReader(shard(path).content))["data"].to_pylist() == ["org/law:test", "own.jsonl"]


def test_trls_config_reads_the_repository(planned):
    run, loaded, plan = planned
    files = {file.name: file for file in gather_mixture(run, loaded, plan, Stated("ann/rows"), PLACES).files}
    values = yaml.safe_load(files["sft.yaml"].content)
    planned_values = yaml.safe_load((run / "mixture" / "sft.yaml").read_text())
    assert values == {**planned_values, "dataset_name": "ann/rows"}


def test_a_mixture_that_was_changed_is_refused(planned):
    run, loaded, plan = planned
    (run / "mixture" / "README.md").write_text("mine")
    with pytest.raises(RunError, match=r"was changed, or is not that of \S+plan\.json\. Plan again"):
        gather_mixture(run, loaded, plan, Stated("ann/rows"), PLACES)


@pytest.mark.parametrize(
    ("rows", "category"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (10**6, "1M<n<10M"), (10**9, "1B<n<10B")],
)
def test_sizes_in_the_hubs_words(rows, category):
    assert size_category(rows) == category
