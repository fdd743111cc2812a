"""A metric is a number an item where its mean is the figure that the harness states, and bits where that is e to it."""

import math

import numpy as np
import pytest

from mixplan.evaluate.harnesses.lm_eval_metrics import column_of, options_in, weighed


@pytest.mark.parametrize(("higher", "better"), [(True, 1), (False, -1), (None, 0)])
def test_means_are_figures_and_the_harness_says_which_way_is_better(higher, better):
    found = column_of("acc", higher, [True, 0, 1.0, False], 0.5)
    assert (found.quantity, found.better, found.values, found.note) == ("acc", better, [1.0, 0.0, 1.0, 0.0], None)
    assert column_of("acc", higher, [True, 0], "N/A").values == [1.0, 0.0]  # a figure that is none says nothing


def test_a_perplexity_is_two_to_the_mean_of_its_bits():
    logs = np.random.default_rng(0).normal(-2, 0.5, 40)
    found = column_of("perplexity", False, logs.tolist(), float(np.exp(-logs.mean())))
    assert (found.quantity, found.better) == ("bits_per_item", -1)
    assert 2 ** np.mean(found.values) == pytest.approx(np.exp(-logs.mean()))
    assert "compared in bits per item" in found.note


@pytest.mark.parametrize(("metric", "unit"), [("word_perplexity", "word"), ("bits_per_byte", "byte")])
def test_documents_weighed_by_length_give_the_harness_s_own_figure(metric, unit):
    """It is the log-likelihood a unit of all documents together: e to it for a perplexity, over log 2 for bits."""
    draw = np.random.default_rng(1)
    logs, lengths = -draw.uniform(10, 90, 12), draw.integers(5, 60, 12)
    rate = -logs.sum() / lengths.sum()
    figure = float(np.exp(rate)) if unit == "word" else float(rate / np.log(2))
    pairs = [[float(log), int(length)] for log, length in zip(logs, lengths, strict=True)]
    found = column_of(metric, False, pairs, figure)
    assert (found.quantity, found.better) == (f"bits_per_{unit}", -1)
    assert np.average(found.values, weights=lengths) == pytest.approx(rate / np.log(2))
    assert column_of(metric, False, pairs, figure * 1.001) == (
        f"its figure in the results, {figure * 1.001:.6g}, does not follow from its samples"
    )


@pytest.mark.parametrize(
    ("values", "stated", "why"),
    [
        ([1.0, math.nan], 1.0, "some items have no finite number"),
        ([1.0, 0.0], 0.75, "its figure in the results, 0.75, is not the mean of its samples, 0.5"),
        ([1.0, "right"], 0.5, "it is no number for a single item"),
        ([[1, 2, 3]], 0.5, "it is no number for a single item"),
        ([[-3.0, 2]], None, "it is no number for a single item"),
    ],
)
def test_why_a_metric_has_no_number_an_item(values, stated, why):
    assert column_of("f1", True, values, stated) == why


@pytest.mark.parametrize(
    "value",
    [None, 3.0, [], [1.0], [1.0, 2.0, 3.0], ["a", 1], [1.0, 0], [1.0, -2], [math.inf, 1], [1.0, math.nan], [None, 1]],
)
def test_a_pair_is_a_finite_number_and_a_weight_above_zero(value):
    assert weighed(value) is None
    assert weighed([-2, 3]) == (-2.0, 3.0)


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([["Q", " A"], ["Q", " B"], ["Q", " C"]], 3),
        ({f"gen_args_{n}": {"arg_0": "Q", "arg_1": f" {n}"} for n in range(4)}, 4),
        # By mutual information each answer is scored without the question, too.
        ([["Q", " A"], ["Q", " B"], ["", " A"], ["", " B"]], 2),
        # One ending behind several beginnings, as in winogrande.
        ([["Ann ran since she", " was late."], ["Eve ran since she", " was late."]], 2),
        ([["", "yes"], ["", "no"]], 2),
        (None, 0),
    ],
)
def test_options_are_what_an_item_was_scored_on(arguments, options):
    assert options_in(arguments) == options
