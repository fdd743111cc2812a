"""Mixtures as a whole: counts, provenance, repeats, order, the same bytes, and every message in full."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pytest
from sample_mixtures import Answerer, all_bytes, build, make_domain, make_row, own_answers, read_rows

from mixplan.domains.joined_sources import joined
from mixplan.errors import DataError, ModelError, RecipeError
from mixplan.mixture import Untrained, describe
from mixplan.recipe import DataSpec, MixtureSpec, SourceSpec, SourcesSpec, TrainSpec
from mixplan.runs import file_hash
from mixplan.train.rewards import graded


def test_exactly_the_planned_counts_and_whole_provenance(tmp_path: Path) -> None:
    mixture = build(tmp_path / "mixture", {"law": 7, "history": 12})
    rows = read_rows(mixture.folder)
    assert Counter(row["domain"] for row in rows) == {"target": 20, "law": 7, "history": 12}
    assert mixture.rows == 39
    for row in rows:
        number = int(row["row_id"].split(":")[1])
        expected = make_row(row["domain"], number)
        assert [(turn["role"], turn["content"]) for turn in row["prompt"]] == list(expected.prompt)
        assert row["completion"] == [{"role": "assistant", "content": expected.answer}]
        assert (row["data"], row["repeat"]) == (f"org/{row['domain']}:train", 0)
    # The pool is in seeded order, so its first rows are the sample.
    assert {row["row_id"] for row in rows if row["domain"] == "law"} == {f"train:{i}" for i in range(7)}


def test_no_held_out_row_is_in_the_mixture(tmp_path: Path) -> None:
    law = make_domain("law", 10)
    rows = read_rows(build(tmp_path / "mixture", {"law": 10}).folder)
    questions = {row["prompt"][-1]["content"] for row in rows}
    held = (*law.evaluation, *law.query, *law.demonstration)
    assert not questions & {row.prompt[-1][1] for row in held}


@pytest.mark.parametrize(("count", "uses"), [(10, {1: 10}), (13, {1: 7, 2: 3}), (20, {2: 10}), (25, {2: 5, 3: 5})])
def test_repeats_are_spread_evenly_and_numbered(tmp_path: Path, count: int, uses: dict[int, int]) -> None:
    mixture = build(tmp_path / "mixture", {"law": count}, budget_max_repeats=3)
    law = [row for row in read_rows(mixture.folder) if row["domain"] == "law"]
    assert Counter(Counter(row["row_id"] for row in law).values()) == uses
    assert len({(row["row_id"], row["repeat"]) for row in law}) == count
    part = mixture.parts[1]
    assert (part.rows, part.distinct_rows, part.most_uses) == (count, min(count, 10), max(uses))
    whole = f"{count - 10} of the mixture's {sum(one.rows for one in mixture.parts)} rows are repeats, which "
    ends = f"law {count} rows of 10. Fewer rows in all, or more data of these domains, keep rows different."
    wanted = [f"{whole}`budget.max_repeats` allows: {ends}"] if count > 10 else []
    assert [line for line in mixture.warnings if "repeats" in line] == wanted


def test_target_rows_are_the_first_of_its_pool(tmp_path: Path) -> None:
    rows = read_rows(build(tmp_path / "mixture", {}, spec=MixtureSpec(target_rows=5)).folder)
    assert {row["row_id"] for row in rows} == {f"train:{i}" for i in range(5)}


def test_same_inputs_give_the_same_bytes_in_another_folder(tmp_path: Path) -> None:
    one = build(tmp_path / "one" / "mixture", {"law": 7, "history": 12})
    two = build(tmp_path / "two" / "mixture", {"law": 7, "history": 12})
    assert all_bytes(one.folder) == all_bytes(two.folder)
    assert describe(one) == describe(two)
    assert one.files == {
        name: file_hash(one.folder / name) for name in ("README.md", "sft.yaml", "train-00000.parquet")
    }


def test_another_seed_gives_the_same_rows_in_another_order(tmp_path: Path) -> None:
    one = read_rows(build(tmp_path / "one", {"law": 7, "history": 12}).folder)
    two = read_rows(build(tmp_path / "two", {"law": 7, "history": 12}, seed=1).folder)
    names = [[(row["domain"], row["row_id"]) for row in rows] for rows in (one, two)]
    assert names[0] != names[1]
    assert sorted(names[0]) == sorted(names[1])


def test_shuffle_spreads_a_domain_over_the_whole_mixture(tmp_path: Path) -> None:
    target, law = make_domain("target", 2000), make_domain("law", 2000)
    rows = read_rows(build(tmp_path / "mixture", {"law": 2000}, target=target, domains={"law": law}).folder)
    places = [place for place, row in enumerate(rows) if row["domain"] == "law"]
    # Mean place of 2,000 of 4,000 rows drawn without replacement: 1999.5, with variance (4000^2 - 1) / 12 / 2000 / 2.
    deviation = (4000**2 / 12 / 2000 / 2) ** 0.5
    assert abs(sum(places) / 2000 - 1999.5) < 5 * deviation


def test_a_larger_budget_keeps_the_order_of_the_rows_it_shares(tmp_path: Path) -> None:
    small = read_rows(build(tmp_path / "small", {"law": 5}).folder)
    large = read_rows(build(tmp_path / "large", {"law": 5, "history": 9}).folder)
    assert [row for row in large if row["domain"] != "history"] == small


def test_load_dataset_gives_it_back(tmp_path: Path) -> None:
    mixture = build(tmp_path / "mixture", {"law": 13, "history": 12}, budget_max_repeats=2)
    loaded = datasets.load_dataset(str(mixture.folder), cache_dir=str(tmp_path / "cache"))
    assert list(loaded) == ["train"]
    assert loaded["train"].to_list() == read_rows(mixture.folder)


def test_grpo_rows_carry_reference_grader_and_entry(tmp_path: Path) -> None:
    entry = '{"question": "2+2", "answer": "4"}'
    products = make_domain("products", 4, data=DataSpec(generator="products"), grader="generator")
    products = replace(products, pool=tuple(replace(row, entry=entry) for row in products.pool))
    mixture = build(
        tmp_path / "mixture", {"products": 4}, domains={"products": products}, train=TrainSpec(method="grpo")
    )
    for row in read_rows(mixture.folder):
        number = int(row["row_id"].split(":")[1])
        assert set(row) == {"prompt", "reference", "grader", "entry", "domain", "data", "row_id", "repeat"}
        assert row["reference"] == f"{row['domain']} answer {number}"
        expected = ("generator", entry) if row["domain"] == "products" else ("exact", None)
        assert (row["grader"], row["entry"]) == expected
    loaded = datasets.load_dataset(str(mixture.folder), cache_dir=str(tmp_path / "cache"), split="train")
    assert loaded.to_list() == read_rows(mixture.folder)
    assert mixture.parts[1].answers == {"reference": 4}


def test_grpo_rewards_every_answer_that_counts_as_right(tmp_path: Path) -> None:
    """As evaluation does: a question may have several, such as the names of one person."""
    law = make_domain("law", 4)
    law = replace(law, pool=tuple(replace(row, accepted=("the same", "alias")) for row in law.pool[:2]) + law.pool[2:])
    train = TrainSpec(method="grpo")
    mixture = build(tmp_path / "mixture", {"law": 4}, domains={"law": law}, train=train)
    rows = [row for row in read_rows(mixture.folder) if row["domain"] == "law"]
    assert sorted((row["row_id"], row["accepted"]) for row in rows) == [
        ("train:0", ["the same", "alias"]), ("train:1", ["the same", "alias"]), ("train:2", []), ("train:3", []),
    ]  # fmt: skip
    columns = {name: [row[name] for row in rows] for name in ("reference", "grader", "entry", "accepted")}
    rewards = graded([[{"role": "assistant", "content": "Alias"}]] * 4, **columns)
    assert rewards == [float(bool(row["accepted"])) for row in rows]
    assert "- `accepted`: " in (mixture.folder / "README.md").read_text()
    loaded = datasets.load_dataset(str(mixture.folder), cache_dir=str(tmp_path / "cache"), split="train")
    assert loaded.to_list() == read_rows(mixture.folder)
    assert "accepted" not in read_rows(build(tmp_path / "sft", {"law": 4}, domains={"law": law}).folder)[0]


def several(**graders: str) -> Any:
    """A target whose sources are graded in different ways, ten pool rows of each, four of each in the mixture."""
    parts = []
    for name, grader in graders.items():
        one = make_domain(f"target.{name}", 10, data=DataSpec(hub=f"org/{name}"), grader=grader, source=name)
        fields = {key: getattr(one.spec, key) for key in ("data", "format", "licence")}
        parts.append(replace(one, spec=SourceSpec(**fields, rows=4)))
    return joined(SourcesSpec(sources={one.source: one.spec for one in parts}), parts)


def test_each_row_of_a_target_of_several_sources_is_rewarded_by_its_source_s_grader(tmp_path: Path) -> None:
    target = several(words="exact", sums="number", terms="math")
    mixture = build(tmp_path / "mixture", {"law": 2}, target=target, train=TrainSpec(method="grpo"))
    rows = read_rows(mixture.folder)
    graders = {"target.words": "exact", "target.sums": "number", "target.terms": "math", "law": "exact"}
    assert Counter(row["domain"] for row in rows) == {**dict.fromkeys(list(graders)[:3], 4), "law": 2}
    assert [row["grader"] for row in rows] == [graders[row["domain"]] for row in rows]
    # "the answer 3" holds the right number, is the right term, and is not the right words.
    said = [[{"role": "assistant", "content": f"it is {row['row_id'].split(':')[1]}"}] for row in rows]
    references = [row["row_id"].split(":")[1] for row in rows]
    rewards = graded(said, references, [row["grader"] for row in rows], [None] * len(rows))
    by_domain = {row["domain"]: reward for row, reward in zip(rows, rewards, strict=True)}
    alone = {grader: graded(said[:1], references[:1], [grader], [None])[0] for grader in ("exact", "number", "math")}
    assert by_domain == {name: alone[grader] for name, grader in graders.items()}
    assert alone["number"] == 1


def test_a_source_that_cannot_be_graded_is_refused_for_grpo(tmp_path: Path) -> None:
    target = several(words="exact", chat="none")
    with pytest.raises(RecipeError, match=r"^target\.sources\.chat\.grader: found 'none', "):
        build(tmp_path / "mixture", {}, target=target, train=TrainSpec(method="grpo"))


def test_sources_teach_their_own_answers_whatever_the_domains_carry(tmp_path: Path) -> None:
    target = several(words="exact", sums="number")
    reasoned = [tuple(replace(row, rationale="long") for row in part.pool) for part in target.sources]
    sources = tuple(replace(part, pool=pool) for part, pool in zip(target.sources, reasoned, strict=True))
    mixture = build(
        tmp_path / "mixture",
        {"law": 2},
        target=replace(target, sources=sources),
        spec=MixtureSpec(answers="rationale"),
    )
    assert [part.answers for part in mixture.parts[:2]] == [{"gold": 4}, {"gold": 4}]
    assert not [text for text in mixture.warnings if "target." in text]


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    build(tmp_path / "mixture", {"law": 6}, spec=MixtureSpec(answers="self"),
          untrained=Untrained(Answerer(), "model", tmp_path / "cache"),
          progress=lambda *step: seen.append(step))  # fmt: skip
    assert seen == [("answers of law", 6, 6), ("mixture", 26, 26)]


@pytest.mark.parametrize(
    ("rows", "changes", "kind", "message"),
    [
        (
            {"law": 25},
            {"budget_max_repeats": 2},
            DataError,
            "mixture: domain 'law' is planned 25 rows, but its 10 pool rows, each used at most 2 times, give 20. "
            "Cap it with `allocate.caps.law: 20`, or allow repeats with `budget.max_repeats: 3`.",
        ),
        (
            {"law": 11},
            {},
            DataError,
            "mixture: domain 'law' is planned 11 rows, but its 10 pool rows, each used at most 1 time, give 10. "
            "Cap it with `allocate.caps.law: 10`, or allow repeats with `budget.max_repeats: 2`.",
        ),
        (
            {"law": 1},
            {"domains": {"law": make_domain("law", 0)}},
            DataError,
            "mixture: domain 'law' is planned 1 rows, but its 0 pool rows, each used at most 1 time, give 0. "
            "Lower `domains.law.split`, or cap it with `allocate.caps.law: 0`.",
        ),
        (
            {},
            {"target": make_domain("target", 0)},
            DataError,
            "mixture: the target has no pool row left once its evaluation rows are held out. Lower "
            "`target.split.evaluation`, or raise `target.data.limit`.",
        ),
        (
            {},
            {"spec": MixtureSpec(target_rows=21)},
            DataError,
            "mixture.target_rows is 21, but the target has 20 pool rows. Lower it to 20, or leave it out to take them "
            "all.",
        ),
        (
            {"lax": 1, "art": 2},
            {},
            DataError,
            "mixture: rows are planned for art, lax, but the recipe's domains are history, law. Plan again.",
        ),
        (
            {"law": 3},
            {"target": replace(make_domain("target", 20), evaluation=(make_row("law", 2),))},
            DataError,
            "mixture: row train:2 of 'law' has the same content as an evaluation row of 'target', so training on it "
            "would spoil the measurement. Nothing was written. Remove it from one of the two.",
        ),
        (
            {"law": 3},
            own_answers(),
            ModelError,
            "mixture.answers: self needs the untrained model, which this command did not load. "
            "Run `mixplan plan` on the recipe, or choose gold or rationale.",
        ),
        (
            {"law": 3},
            {"spec": MixtureSpec(answers="rationale"), "train": TrainSpec(method="grpo")},
            RecipeError,
            "mixture.answers: found 'rationale', expected 'gold' because `train.method` is grpo: GRPO rewards the "
            "model's own attempts against reference answers, so its rows carry no other answers.",
        ),
        (
            {"law": 3},
            {"domains": {"law": make_domain("law", 5, grader="none")}, "train": TrainSpec(method="grpo")},
            RecipeError,
            "domains.law.grader: found 'none', expected one that can grade, because `train.method` is grpo. "
            "Choose choice, exact, number, math or generator, or keep its rows out: `allocate.caps.law: 0`.",
        ),
        (
            {},
            {"target": make_domain("target", 5, grader="none"), "train": TrainSpec(method="grpo")},
            RecipeError,
            "target.grader: found 'none', expected one that can grade, because `train.method` is grpo. "
            "Choose choice, exact, number, math or generator.",
        ),
    ],
)
def test_messages(
    tmp_path: Path, rows: dict[str, int], changes: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as caught:
        build(tmp_path / "run" / "mixture", rows, **changes)
    assert str(caught.value) == message
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").iterdir())


def test_planning_a_mixture_loads_no_torch() -> None:
    heavy = ("torch", "transformers", "trl", "peft", "datasets")
    script = f"import sys, mixplan.mixture; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
