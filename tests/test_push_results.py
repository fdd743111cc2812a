"""Shares of right answers on a hub data set's held-out split go in the hub's own form, and no other figure does."""

import pytest
import yaml
from huggingface_hub._eval_results import parse_eval_result_entries
from saved_run import checked, values

from mixplan.push.results import result_files
from mixplan.recipe import load_recipe

COLUMNS = "format: question_answer, columns: {question: q, answer: a}"


@pytest.fixture
def run(tmp_path):
    """A plan and an outcome, and a function that makes a recipe in which their first domain has other data."""
    plan, outcome = checked(*values())

    def recipe(data: str):
        lines = [
            "model: {name: org/model, sae: {embedded: true}}",
            "target: {data: {hub: org/taught}, " + COLUMNS + "}",
        ]
        lines += ["domains:"]
        lines += [
            f"  {name}: {{data: {data if place == 0 else '{file: x.jsonl}'}, {COLUMNS}}}"
            for place, name in enumerate(outcome.domains)
        ]
        (tmp_path / "r.yaml").write_text("\n".join([*lines, "budget: {rows: 8}", "mixture: {target_rows: 8}", ""]))
        return load_recipe(tmp_path / "r.yaml")

    return plan, outcome, recipe


def test_an_entry_is_read_back_by_the_hubs_client(run):
    plan, outcome, recipe = run
    loaded = recipe("{hub: cais/mmlu, config: anatomy, split: test, revision: abc}")
    (file,) = result_files(loaded, plan, outcome)
    assert file.name == ".eval_results/cais--mmlu.yaml"
    (entry,) = parse_eval_result_entries(yaml.safe_load(file.content))
    name = next(iter(outcome.domains))
    change = outcome.domains[name].change
    assert (entry.dataset_id, entry.task_id, entry.dataset_revision) == ("cais/mmlu", "anatomy", "abc")
    assert entry.value == pytest.approx(100 * change.after, abs=0.005)
    assert entry.notes.startswith(f"percent of {change.items:,} held-out rows")
    assert entry.notes.endswith(f"before training {100 * change.before:.2f}")
    assert entry.date == outcome.created


@pytest.mark.parametrize("data", ["{hub: cais/mmlu}", "{hub: cais/mmlu, split: contest}", "{file: test.jsonl}"])
def test_train_splits_and_own_files_are_no_results(run, data):
    plan, outcome, recipe = run
    assert list(result_files(recipe(data), plan, outcome)) == []


def test_bits_per_byte_are_no_share_of_right_answers(run):
    plan, outcome, recipe = run
    name = next(iter(outcome.domains))
    bits = next(found for found in outcome.domains.values() if found.headline == "likelihood")
    changed = outcome.model_copy(update={"domains": {**outcome.domains, name: bits}})
    assert list(result_files(recipe("{hub: cais/mmlu, split: test}"), plan, changed)) == []
