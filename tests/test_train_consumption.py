"""What a trainer has prepared, counted by domain: cut and dropped rows apart, any other difference an error."""

import datasets
import pytest
from as_saved import plain

from mixplan.errors import TrainError
from mixplan.train.consumption import count_prompts, read_back, trainable_tokens

LIMIT = 10


def mixture(*rows: tuple[str, int, int]) -> datasets.Dataset:
    """Rows of (domain, question tokens, answer tokens), a token being a character."""
    return datasets.Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": "q" * asked}],
                "completion": [{"role": "assistant", "content": "a" * said}],
                "domain": domain,
                "row_id": f"train:{number}",
                "repeat": 0,
            }
            for number, (domain, asked, said) in enumerate(rows)
        ]
    )


def length(messages: list[dict[str, str]], awaiting: bool) -> int:
    return sum(len(message["content"]) for message in messages)


def prepared(rows: datasets.Dataset, limit: int | None = LIMIT) -> datasets.Dataset:
    """What a trainer makes of rows: labels on answers alone, cut at the limit, without rows that have none left."""

    def labelled(row: dict) -> dict:
        asked, said = len(row["prompt"][0]["content"]), len(row["completion"][0]["content"])
        return {"input_ids": [7] * (asked + said), "labels": [-100] * asked + [7] * said}

    cut = rows.map(labelled).map(lambda row: {"input_ids": row["input_ids"][:limit], "labels": row["labels"][:limit]})
    return cut.filter(lambda row: any(label != -100 for label in row["labels"]))


def test_rows_and_trainable_tokens_by_domain():
    rows = mixture(("target", 3, 4), ("law", 2, 5), ("target", 1, 2), ("law", 4, 6), ("law", 5, 9), ("fox", 12, 3))
    found = read_back(rows, prepared(rows), planned={"target": 2, "law": 3, "fox": 1}, limit=LIMIT, length=length)
    assert plain(found.domains) == {
        "target": entry(2, 2, 6),
        "law": entry(3, 3, 5 + 6 + 5, truncated=1),
        "fox": entry(1, 0, 0, dropped=1),
    }
    assert found.warnings == (
        "1 of 3 rows of 'law' were cut at 10 tokens; their longest has 14. Set train.args.max_length to keep it whole.",
        "1 of 1 rows of 'fox' were dropped: their questions alone fill 10 tokens. Set train.args.max_length higher to "
        "train on them.",
    )


def entry(planned: int, rows: int, tokens: int | None, truncated: int = 0, dropped: int = 0) -> dict:
    return {
        "planned_rows": planned,
        "rows": rows,
        "trainable_tokens": tokens,
        "truncated_rows": truncated,
        "dropped_rows": dropped,
    }


def test_without_a_limit_nothing_is_cut():
    rows = mixture(("target", 30, 40), ("law", 2, 5))
    found = read_back(rows, prepared(rows, None), planned={"target": 1, "law": 1}, limit=None, length=length)
    assert plain(found.domains) == {"target": entry(1, 1, 40), "law": entry(1, 1, 5)}
    assert found.warnings == ()


def test_a_row_that_is_gone_for_another_reason_than_length_is_an_error():
    rows = mixture(("target", 3, 4), ("law", 2, 5), ("law", 12, 5))
    less = prepared(rows).filter(lambda row: row["row_id"] != "train:1")
    with pytest.raises(TrainError) as error:
        read_back(rows, less, planned={"target": 1, "law": 2}, limit=LIMIT, length=length)
    assert str(error.value) == (
        "training: the trainer's own data holds other rows than planned: 'law' 1 instead of 2. "
        "Leave out keys of train.args that select or drop rows, or plan again."
    )


def test_rows_that_were_not_planned_are_an_error():
    rows = mixture(("target", 3, 4), ("law", 2, 5))
    with pytest.raises(TrainError) as error:
        read_back(rows, prepared(rows), planned={"target": 2}, limit=LIMIT, length=length)
    assert str(error.value) == (
        "training: the trainer's own data holds other rows than planned: 'target' 1 instead of 2, 'law' 1 instead of "
        "0. Leave out keys of train.args that select or drop rows, or plan again."
    )


def test_prompts_by_domain_and_those_that_fill_no_batch():
    rows = mixture(("target", 3, 4), ("law", 2, 5), ("law", 2, 5))
    found = count_prompts(rows, planned={"target": 1, "law": 2}, batch=2)
    assert plain(found.domains) == {"target": entry(1, 1, None), "law": entry(2, 2, None)}
    assert found.warnings == ("1 of 3 rows, others in each epoch, do not fill a batch of 2 prompts and wait.",)
    assert count_prompts(rows, planned={"target": 1, "law": 2}, batch=3).warnings == ()


def test_trainable_tokens_are_counted_over_thousands_of_rows():
    rows = mixture(*[("law", 1 + n % 3, 1 + n % 5) for n in range(2300)])
    made = prepared(rows)
    assert trainable_tokens(made) == sum(1 + n % 5 for n in range(2300))
    found = read_back(rows, made, planned={"law": 2300}, limit=LIMIT, length=length)
    assert plain(found.domains["law"]) == (entry(2300, 2300, trainable_tokens(made)))


def test_tools_are_part_of_the_question():
    """A question that fills the limit only with its tools was dropped by its length, not lost."""
    rows = mixture(("law", 5, 3), ("law", 2, 2)).add_column("tools", ["t" * 6, None])
    found = read_back(rows, prepared(rows).select([1]), planned={"law": 2}, limit=LIMIT, length=length)
    assert (found.domains["law"].rows, found.domains["law"].dropped_rows) == (1, 1)
