"""Filters have one name before and after, and what stands for a part is what was asked; items keep their numbers."""

import pytest

from mixplan.errors import EvaluateError
from mixplan.evaluate.harnesses.metric_names import Choice, Sides, label_of, name_of, pooled, relabelled, stands_for
from mixplan.evaluate.harnesses.results import Item, Task

MEASURE = "exact"


def made(name="law", leading="strict", filters=("strict", "loose"), metrics=("exact_match", "f1"), better=1):
    """A task of two items; each number says its filter, metric and item."""
    labels = [label_of(MEASURE, one, leading) for one in filters]
    values = [
        {label: {metric: 100 * f + 10 * m + n for m, metric in enumerate(metrics)} for f, label in enumerate(labels)}
        for n in range(2)
    ]
    items = {
        str(n): Item(
            "c", "p", value, "q", "r", {label: f"{one} {n}" for label, one in zip(labels, filters, strict=True)}
        )
        for n, value in enumerate(values)
    }
    return Task(name, {label: dict.fromkeys(metrics, better) for label in labels}, items, leading, {}, {})


def sides(metric=None, filter=None, **changes):
    one = made(**changes)
    return Sides(Choice("law", one.name, metric, filter), one, one, one.better)


@pytest.mark.parametrize("name", ["strict", "loose", "none", "a (b)"])
def test_a_label_says_its_filter(name):
    for leading in ("strict", "loose", "none", "a (b)"):
        assert name_of(label_of(MEASURE, name, leading), MEASURE, leading) == name


def test_another_leading_filter_changes_names_and_no_number():
    task, other = made(), made(leading="loose")
    found = relabelled(task, MEASURE, "loose")
    assert list(found.better) == ["exact", "exact (strict)"]
    assert (found.leading, found.items) == ("loose", other.items)
    assert relabelled(found, MEASURE, "strict").items == task.items
    assert relabelled(task, MEASURE, "strict") is task


@pytest.mark.parametrize(
    ("metric", "filter", "found"),
    [
        (None, None, None), ("f1", None, ("exact", "f1")), ("f1", "loose", ("exact (loose)", "f1")),
        ("exact_match", "strict", ("exact", "exact_match")),
    ],
)  # fmt: skip
def test_the_metric_and_filter_asked_for(metric, filter, found):
    assert stands_for(sides(metric, filter), MEASURE) == found


def test_what_was_not_measured_is_refused_with_what_was():
    with pytest.raises(EvaluateError) as caught:
        stands_for(sides("f1", "flexible"), MEASURE)
    assert str(caught.value) == (
        "--tasks law=law: no filter 'flexible' was measured before and after; there are 'strict', 'loose'."
    )
    with pytest.raises(EvaluateError) as caught:
        stands_for(sides("bleu", "loose"), MEASURE)
    assert str(caught.value) == (
        "--tasks law=law: no metric 'bleu'; there are exact_match (exact), f1 (exact), exact_match (exact (loose)), f1 "
        "(exact (loose))."
    )


def test_accuracies_of_several_names_count_together_as_one():
    first, second = sides(name="a", metrics=("acc",)), sides(name="b", leading="loose", metrics=("exact_match",))
    found, notes = pooled([first, second], [None, ("exact (strict)", "exact_match")], MEASURE)
    assert [one.better for one in found] == [{"exact": {"accuracy": 1}}] * 2
    assert [item.values for item in found[0].first.items.values()] == [{"exact": {"accuracy": n}} for n in (0, 1)]
    assert [item.answers for item in found[1].second.items.values()] == [{"exact": f"strict {n}"} for n in (0, 1)]
    assert notes == ["law: what counts together as accuracy is acc of a (strict), exact_match of b (strict)."]


@pytest.mark.parametrize("other", [{"metrics": ("bleu",)}, {"metrics": ("acc",), "better": -1}])
def test_metrics_of_other_kinds_or_directions_do_not_count_together(other):
    with pytest.raises(EvaluateError, match="are of different kinds and cannot count together"):
        pooled([sides(name="a", metrics=("acc",)), sides(name="b", **other)], [None, None], MEASURE)
