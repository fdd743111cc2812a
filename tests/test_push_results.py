"""Shares of right answers on a hub data set's held-out split go in the hub's own form, and no other figure does."""

import pytest
import yaml
from huggingface_hub._eval_results import parse_eval_result_entries
from saved_run import checked, values

from mixplan.push.results import entry, result_files
from mixplan.recipe import DataSpec, load_recipe
from mixplan.saved.plan import MixturePart, SourceData

COLUMNS = "format: question_answer, columns: {question: q, answer: a}"


@pytest.fixture
def run(tmp_path):
    """A plan and an outcome, and a function that makes a recipe in which their first domains have other data."""
    plan, outcome = checked(*values())

    def recipe(*data: str):
        lines = [
            "model: {name: org/model, sae: {embedded: true}}",
            "target: {data: {hub: org/taught}, " + COLUMNS + "}",
        ]
        lines += ["domains:"]
        lines += [
            f"  {name}: {{data: {data[place] if place < len(data) else '{file: x.jsonl}'}, {COLUMNS}}}"
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


def test_a_source_of_the_target_is_of_its_own_rows(run):
    plan, outcome, _ = run
    change = next(iter(outcome.domains.values())).change
    sources = {"a": SourceData.model_construct(source_rows=120)}
    target = plan.target.model_copy(update={"source_rows": 500, "sources": sources})
    data = DataSpec(hub="org/a", split="test")
    for name, rows in (("target.a", 120), ("target", 500)):
        made = entry(name, data, ("choice", change), plan.model_copy(update={"target": target}), outcome)
        assert f"held-out rows of {rows} of test, " in made.notes


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


@pytest.mark.parametrize(("data", "shared"), [
    ("{hub: cais/mmlu, config: anatomy, split: test}", True),
    ("{hub: cais/mmlu, config: anatomy, split: 'test[:50]'}", True),
    ("{hub: cais/mmlu, config: anatomy, split: validation}", False),
    ("{hub: cais/mmlu, config: law, split: test}", False),
])  # fmt: skip
def test_a_split_that_was_trained_on_is_no_result(run, data, shared):
    """Whether the rows were the domain's own or another's: the model has learned from what it would be compared on."""
    plan, outcome, recipe = run
    loaded = recipe("{hub: cais/mmlu, config: anatomy, split: test}", data)
    measured, other = list(outcome.domains)[:2]
    alone = outcome.model_copy(update={"domains": {measured: outcome.domains[measured]}})

    def results(**rows):
        return list(result_files(loaded, with_rows(plan, **rows), alone))

    assert len(results()) == 1
    assert results(**{measured: 3}) == []
    assert (results(**{other: 3}) == []) is shared


def with_rows(plan, **rows):
    """The plan with so many rows of each part in its mixture."""
    parts = [MixturePart.model_construct(name=name, rows=count) for name, count in rows.items()]
    return plan.model_copy(update={"mixture": plan.mixture.model_copy(update={"parts": parts})})
