"""Summaries say every sentence in full, good news and bad."""

from functools import partial

import pytest
from as_saved import filled, typed
from saved_outcome import sample

from mixplan.outcome import summary
from mixplan.saved.arms import Arms
from mixplan.saved.outcome import Domain, Drift, Judgement, Measured, Outcome

WON = {"items": 100, "before": 0.31, "after": 0.402, "change": 0.092, "low": 0.051, "high": 0.133, "changed": True,
       "direction": "gain"}  # fmt: skip
STILL = {"items": 40, "before": 0.5, "after": 0.51, "change": 0.01, "low": -0.03, "high": 0.05, "changed": False,
         "direction": "none"}  # fmt: skip
LOST = WON | {"change": -0.04, "low": -0.07, "high": -0.01, "direction": "loss"}


def target(measured):
    return summary.target(filled(Measured, measured))


def whole(measured):
    return summary.whole(filled(Measured, measured))


def each(function, kind, values):
    return function({name: filled(kind, value) for name, value in values.items()})


def sources(parts):
    return each(summary.sources, Measured, parts)


def headlines(domains):
    return each(summary.headlines, Measured, domains)


def floors(domains, **kwargs):
    return each(partial(summary.floors, **kwargs), Measured, domains)


def behaviour(domains):
    return each(summary.behaviour, Measured, domains)


def forecast(domains, kind):
    return summary.forecast({name: filled(Domain, domain) for name, domain in domains.items()}, kind)


def judged(judgement, score):
    return summary.judged([filled(Judgement, entry) for entry in judgement], score)


def drift(found):
    return summary.drift(None if found is None else filled(Drift, found))


def arms(found):
    return summary.arms(None if found is None else filled(Arms, found))


def of(change, headline="exact", quantity="score", **more):
    return {"headline": headline, "measures": {headline: {quantity: change}}, **more}


def test_the_target():
    assert target(of(WON)) == (
        "The target's share of right answers went from 31.0 % to 40.2 %: +9.2 points [+5.1, +13.3] over 100 items, "
        "a gain."
    )
    assert target(of(STILL)) == (
        "The target's share of right answers went from 50.0 % to 51.0 %: +1.0 points [-3.0, +5.0] over 40 items. "
        "The interval holds zero: there is no evidence of a gain."
    )
    assert target({"headline": None, "measures": {}}) == (
        "The target was not measured: it has no evaluation rows, or no measure fits it."
    )


def test_a_target_of_several_sources():
    parts = {"code": of(WON), "chat": of(STILL), "new": {"headline": None, "measures": {}}}
    assert sources(parts) == (
        "By source: code's share of right answers +9.2 points [+5.1, +13.3] over 100 items (a gain); chat's share of "
        "right answers +1.0 points [-3.0, +5.0] over 40 items (no significant change); new was not measured."
    )
    assert sources({}) == ""
    assert whole(of(WON)) == target(of(WON))
    assert whole({"headline": None, "measures": {}}) == (
        "The target's sources have no headline measure in common, so each is reported by itself."
    )


def test_domains_that_changed():
    found = {"law": of(LOST), "sums": of(WON), "fox": of(STILL), "art": of(STILL)}
    assert headlines(found) == (
        "2 of 4 domains changed beyond noise on their headline measure: 1 loss (law -4.0 points [-7.0, -1.0]), "
        "1 gain (sums +9.2 points [+5.1, +13.3]). If none had changed, about 0.2 would seem to."
    )
    assert headlines({"fox": of(STILL)}) == "The one domain did not change beyond noise on its headline measure."
    assert headlines({"fox": {"headline": None, "measures": {}}}) == "No domain was measured."
    many = {f"d{number}": of(LOST) for number in range(5)}
    assert (
        "5 losses (d0 -4.0 points [-7.0, -1.0], d1 -4.0 points [-7.0, -1.0], d2 -4.0 points [-7.0, -1.0] and 2 more)"
        in (headlines(many))
    )


def test_what_would_seem_to_change_comes_from_the_differences():
    found = {"law": of(LOST | {"by_chance": 0.03}), "fox": of(STILL | {"by_chance": 0.01}), "art": of(STILL)}
    assert headlines(found).endswith("If none had changed, about 0.1 would seem to.")


def test_domains_at_their_floor_are_told():
    guessed = {"measure": "choice", "quantity": "correct", "value": 0.25, "chance": 0.25, "items": 40}
    zero = {"measure": "exact", "quantity": "score", "value": 0.05, "chance": 0.0, "items": 20}
    found = {
        "law": of(STILL, floor=guessed | {"instead": "behaviour"}),
        "sums": of(STILL, floor=zero | {"instead": "behaviour"}),
        "fox": of(STILL),
    }
    assert floors(found) == (
        "Accuracy cannot show a loss where it is at its floor or at chance (law 25 % of 40, by guessing 25 %, "
        "sums 5 % of 20): there the headline is how far behaviour moved."
    )
    assert floors({"fox": of(STILL)}) == ""
    none = {"sums": of(STILL, floor=zero | {"value": 0.0, "instead": "behaviour"}), "law": found["law"]}
    assert floors(none).endswith(
        " No answer was graded right before training in sums: read some in the report, and where they are right in "
        "other words, choose a `grader` that takes them, or measure it by `likelihood`."
    )
    assert "graded" not in floors(none, brought=True)
    assert floors({"law": of(STILL, floor=zero | {"instead": None})}).endswith(
        "(law 5 % of 20): add `behaviour` to `evaluate.also` and name no other measure for them to see whether they "
        "move."
    )


def test_no_correlation_is_announced_where_nothing_moved():
    own, other = entry("sts_icl", 0.6, 0.1, 0.9), entry("total_shift", 0.8, 0.5, 0.9)
    assert judged([own | {"changed": 0}, other | {"changed": 0}], "icl") == [
        "No domain changed beyond noise in accuracy, so no score can be held against how far they moved."
    ]
    still = {"change": 0.001, "low": -0.001, "high": 0.003, "changed": False}
    assert behaviour({name: {"measures": {"behaviour": {"kl": still}}} for name in "abc"}) == (
        "Behaviour moved nowhere beyond what two readings of one model differ by."
    )


def test_behaviour():
    def kl(value):
        return {"measures": {"behaviour": {"kl": {"change": value, "low": value / 2, "high": value * 2}}}}

    assert behaviour({"law": kl(0.1), "fox": kl(0.4), "sums": kl(0.02), "art": {"measures": {}}}) == (
        "Behaviour moved most in fox, +0.4 nats per token [+0.2, +0.8], and least in sums, "
        "+0.02 nats per token [+0.01, +0.04]."
    )
    assert behaviour({"law": kl(0.1)}) == ""


def test_a_wrong_plan_is_told():
    expected = {"measure": "exact", "quantity": "score", "change": -0.01, "low": -0.03, "high": 0.01, "sign": None}
    wrong = of(LOST, expected=expected, expected_behaviour=None, relative=None, outside_forecast=True)
    right = of(STILL, expected=expected, expected_behaviour=None, relative=None, outside_forecast=False)
    assert forecast({"law": wrong, "fox": right, "art": right}, "learned") == (
        "1 of 3 domains moved outside their forecast: law (-4.0 points [-7.0, -1.0], "
        "forecast -1.0 points [-3.0, +1.0])."
    )
    assert forecast({"fox": right}, "learned") == "The one domain moved within its forecast."
    less = of(STILL, expected=expected | {"low": -0.08, "high": -0.05}, outside_forecast=False)
    assert forecast({"fox": right, "art": less}, "learned") == (
        "All 2 domains moved within their forecast. art moved less than forecast: that is of the target's rows alone, "
        "and extra rows leave a part of it."
    )
    share = {"share": 0.08, "low": 0.06, "high": 0.1, "measured": 0.21}
    wrong = of(LOST, expected=None, expected_behaviour=None, relative=share, outside_forecast=True)
    assert forecast({"law": wrong, "fox": right}, "relative") == (
        "1 of 2 domains moved outside their forecast: law (21 % of all change, forecast 8 % [6, 10]). "
        "The forecast was of each domain's share of all change, without unit or sign."
    )
    assert forecast({"law": of(LOST, outside_forecast=None)}, "relative") == (
        "No forecast could be checked: the plan had no unit, and the domains share none."
    )


def entry(predictor, pearson, low, high, measure="headline", quantity="accuracy"):
    return {"predictor": predictor, "measure": measure, "quantity": quantity, "domains": 12, "pearson": pearson,
            "pearson_low": low, "pearson_high": high, "spearman": 0.5}  # fmt: skip


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ((0.6, 0.1, 0.9), "STS_ICL predicted how far accuracy would move: "
                          "Pearson 0.60 [0.10, 0.90], Spearman 0.50 over 12 domains."),
        ((-0.6, -0.9, -0.1), "STS_ICL predicted how far accuracy would move the wrong way round: "
                             "Pearson -0.60 [-0.90, -0.10], Spearman 0.50 over 12 domains."),
        ((0.2, -0.4, 0.7), "There is no evidence that STS_ICL predicts how far accuracy would move: "
                           "Pearson 0.20 [-0.40, 0.70], Spearman 0.50 over 12 domains; the interval holds zero."),
        ((0.9, None, None), "Whether STS_ICL predicts how far accuracy would move is open: "
                            "Pearson 0.90 over 12 domains, too few for an interval."),
        ((None, None, None), "Whether STS_ICL predicts how far accuracy would move cannot be said over 12 domains: "
                             "too few, or all alike."),
    ],
)  # fmt: skip
def test_judgements(ends, text):
    assert judged([entry("sts_icl", *ends)], "icl") == [text]
    assert judged([entry("sts_act", *ends)], "icl") == []


def test_a_comparison_that_does_better_is_told():
    own, other = entry("sts_icl", 0.6, 0.1, 0.9), entry("total_shift", 0.8, 0.5, 0.9)
    assert judged([own, other], "icl")[0].endswith(
        " The whole shift came closer: Pearson 0.80, which is within that interval."
    )
    assert judged([own, entry("total_shift", 0.95, 0.9, 0.97)], "icl")[0].endswith(
        " The whole shift came closer: Pearson 0.95."
    )
    assert judged([own, entry("total_shift", 0.5, 0.2, 0.7)], "icl")[0].endswith("Spearman 0.50 over 12 domains.")


def test_drift():
    found = {"overlap": 57, "of": 100, "chance": 2.6, "low": 0, "high": 6, "active_overlap": 41, "raw_overlap": 38,
             "raw_of": 100, "raw_chance": 17.4, "raw_low": 11, "raw_high": 24}  # fmt: skip
    raw = " In the raw stream 38 of 100 were; chance gives 17.4 [11, 24]."
    assert drift(found) == (
        f"Of the 100 features that training moved most, 57 were predicted; chance gives 2.6 [0, 6].{raw}"
    )
    assert drift(found | {"overlap": 5}) == (
        "Of the 100 features that training moved most, 5 were predicted; chance gives 2.6 [0, 6], so the prediction is "
        f"no better than chance. Naming the most active features would have met 41.{raw}"
    )
    assert drift(None) == ""


def test_arms():
    def arm(value, verdict):
        return {"against": {"value": value, "low": value - 0.01, "high": value + 0.01}, "verdict": verdict}

    same = {"against": None, "verdict": None}
    table = {"quantity": "accuracy", "domains": 10, "arms": {"uniform": same, "plan": arm(0.02, "win")}}
    moved = {"quantity": "kl", "domains": 12, "arms": {"uniform": same, "plan": arm(0.02, "loss")}}
    table |= {"seeds": [0, 1]}
    once = arms(table | {"seeds": [0], "baseline": "uniform", "behaviour": moved})
    assert once[2].startswith("Each mixture was trained once, so that these intervals are over items and do not hold")
    assert (
        arms(table | {"baseline": "uniform", "behaviour": moved})
        == once[:2]
        == [
            "Against the uniform mixture, by the mean change of accuracy over 10 domains: "
            "plan beat it (+2.0 points [+1.0, +3.0]).",
            "Against the uniform mixture, by the mean change of behaviour over 12 domains, where less is better: "
            "plan lost to it (+0.02 nats per token [+0.01, +0.03]).",
        ]
    )
    assert arms(table | {"baseline": "uniform", "behaviour": None, "arms": {"uniform": same}}) == []
    assert arms(None) == []


@pytest.mark.parametrize("kind", ["learned", "relative", "none"])
def test_a_whole_outcome_is_told_in_sentences(kind):
    told = summary.summarise(typed(Outcome, sample(forecast=kind)))
    assert len(told) == 9
    assert all(not sentence[0].islower() and sentence.endswith(".") for sentence in told)


def test_the_plan_is_held_against_none_too():
    line = {"against": None, "verdict": None}
    lost = {"value": -0.02, "low": -0.03, "high": -0.01}
    pairs = [{"arm": "plan", "against": "none", "seeds": 1, "difference": lost, "verdict": "loss"}]
    table = {"baseline": "uniform", "quantity": "accuracy", "domains": 3, "behaviour": None, "pairs": pairs,
             "arms": {"none": line, "plan": line}, "seeds": [0, 1]}  # fmt: skip
    said = ["By the same mean of accuracy: plan lost to none (-2.0 points [-3.0, -1.0])."]
    assert arms(table) == said
    turned = {"value": 0.02, "low": 0.01, "high": 0.03}
    pairs[0] |= {"arm": "none", "against": "plan", "difference": turned, "verdict": "win"}
    assert arms(table) == said
