"""Rows that cannot fill their split are refused with a remedy; here each remedy that is named is tried."""

import re

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mixplan.domains.passages import Groups
from mixplan.domains.row_problems import Causes
from mixplan.domains.rows import Row
from mixplan.domains.split_parts import Unsplit, divide, require_enough
from mixplan.errors import DataError
from mixplan.recipe import ColumnsSpec, DataSpec, DomainSpec, SplitSpec

PARTS = ("evaluation", "query", "demonstration")
SIZES = st.sampled_from([1, 2, 5, 10, 30])


def rows(first: int, count: int) -> list[Row]:
    return [Row(f"a:{i}", f"{i:032x}", (("user", f"{i}?"),), str(i)) for i in range(first, first + count)]


def unsplit(split: dict[str, int], count: int, *, apart: list[Row] | None, shown: int, is_taught: bool) -> Unsplit:
    spec = DomainSpec(
        data=DataSpec(file="a.jsonl"),
        format="prompt_completion",
        columns=ColumnsSpec(prompt="p", completion="c"),
        split=SplitSpec(**split),
    )
    path = ("target",) if is_taught else ("domains", "a")
    return Unsplit(
        name=path[-1], path=path, spec=spec, grader="none", rows=rows(0, count), apart=apart, read_rows=count,
        source_rows=count, causes=Causes(), groups=Groups(), shown=shown, counter="sts.demonstrations", seed=0,
        unmet_roles=(),
    )  # fmt: skip


def refusal(one: Unsplit, barred: dict[str, str]) -> str | None:
    try:
        require_enough(one, divide(one, barred), barred, lambda key: ".".join(map(str, key)))
    except DataError as error:
        return str(error)
    return None


@settings(max_examples=400, deadline=None)
@given(
    split=st.fixed_dictionaries({}, optional=dict.fromkeys(PARTS, SIZES) | {"apart": st.booleans()}),
    count=st.integers(1, 60),
    elsewhere=st.none() | st.tuples(st.integers(0, 60), st.integers(1, 60)),
    shown=st.integers(1, 4),
    is_taught=st.booleans(),
    held=st.integers(0, 20),
)
@example(split={"apart": True}, count=1, elsewhere=None, shown=1, is_taught=True, held=0)
def test_each_remedy_for_a_split_suffices(split, count, elsewhere, shown, is_taught, held):
    """Demonstrations of their own may be the very rows of the data, some of them, or others; others hold rows out."""
    apart = None if elsewhere is None else rows(*elsewhere)
    barred = {row.key: "b" for row in rows(0, held)}
    message = refusal(unsplit(split, count, apart=apart, shown=shown, is_taught=is_taught), barred)
    if message is None:
        return
    remedy = message.rpartition(". ")[2]
    without = {key: split[key] for key in ("apart",) if key in split}

    def left(
        changed: dict[str, int], rows: int = count, own: list[Row] | None = apart, shots: int = shown
    ) -> str | None:
        return refusal(unsplit(changed, rows, apart=own, shown=shots, is_taught=is_taught), barred)

    tried = 0
    if found := re.search(r"et `[a-z.]+\.split` to (\{.*?\})", remedy):
        assert left(yaml.safe_load(found[1])) is None
        tried += 1
    if found := re.search(r"ower `sts.demonstrations` to (\d+)", remedy):
        assert left(split, shots=int(found[1])) is None
        tried += 1
    if "leave it out" in remedy or "eave out `" in remedy:
        assert left({}) is None
        tried += 1
    if "so that they come from `data`" in remedy:
        assert left(without if "and the numbers of" in remedy else split, own=None) is None
        tried += 1
    if found := re.search(r"even the smallest split needs (\d+) rows", remedy):
        usable = count - min(held, count)
        assert usable < int(found[1])
        grown = held + int(found[1])
        assert left(without, rows=grown, own=None) is None
        tried += 1
    assert tried, message


def test_demonstrations_that_are_the_data_itself_are_refused_with_what_helps():
    """The file named twice: all rows are demonstrations, so that none are left to read."""
    one = unsplit({"apart": True}, 20, apart=rows(0, 20), shown=2, is_taught=True)
    with pytest.raises(DataError, match="17 also a demonstration") as refused:
        require_enough(one, divide(one, {}), {}, lambda key: ".".join(map(str, key)))
    assert "emove `target.demonstrations`, so that they come from `data`" in str(refused.value)
