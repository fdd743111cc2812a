"""What a plan says of where its reading stopped."""

from dataclasses import dataclass

import pytest

from mixplan.plan.looks import Expected
from mixplan.plan.stopped import automatic, stopped_at, stops
from mixplan.saved.scores import Looks


@dataclass
class Section:
    query_tokens: int | str


@dataclass
class Recipe:
    """The two sections of a recipe that are read."""

    drift: Section
    sts: Section


@dataclass
class Read:
    query_tokens: int


@dataclass
class Scores:
    """What of scores is looked at."""

    looks: Looks | None
    reading: dict[str, Read]


@pytest.mark.parametrize(
    ("drift", "sts", "target", "domain"),
    [(100, 50, False, False), ("auto", 50, True, False), (100, "auto", False, True)],
)
def test_target_and_domains_stop_each_by_their_own_section(drift, sts, target, domain):
    recipe = Recipe(Section(drift), Section(sts))
    assert (stops(recipe, "target"), stops(recipe, "law")) == (target, domain)
    assert automatic(recipe) == (target or domain)


def scores(look: int) -> Scores:
    at_most = {"target": 1000, "law": 600, "art": 400}
    looks = Looks(looks={"target": look, "law": look, "art": 0}, at_most=at_most, dimensions=0.9, drawn=None)
    return Scores(looks, {"target": Read(350), "law": Read(210), "art": Read(140)})


def test_tokens_are_counted_over_target_and_domains():
    found = stopped_at(scores(2), Expected(dimensions=0.9, order=0.95, rows=0.985))
    assert (found.look, found.query_tokens, found.at_most) == (2, 700, 2000)
    assert found.looks == {"target": 2, "law": 2, "art": 0}
    assert (found.dimensions, found.order, found.rows) == (0.9, 0.95, 0.985)
    assert found.text == (
        "Read 700 of at most 2,000 query tokens (look 3 of 5, 1 of 3 readings less far): reading all of them is "
        "expected to pick 90% of the drift dimensions again and to order the domains alike (Spearman 0.95), and no "
        "domain's rows change by more than 2 in 98.5% of 200 draws of it. Intervals are wide enough to hold at all "
        "looks together."
    )


def test_an_sae_that_fires_on_too_much_is_read_to_the_end_and_says_so():
    found = stopped_at(scores(4), Expected(dimensions=0.9, order=None, rows=None))
    assert found.order is None
    assert found.text.endswith("so nothing says what reading on would change, and all is read.")


def test_scores_of_a_given_budget_stop_at_no_look():
    with pytest.raises(ValueError, match="no look"):
        stopped_at(Scores(None, {}), Expected(dimensions=1.0, order=1.0, rows=1.0))
