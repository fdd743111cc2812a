"""Every forecast against a plain transcription of its formula, feature by feature, on made-up readings."""

from collections import Counter
from math import sqrt

import numpy as np
import pytest
from random_readings import COUNT, RAW, WIDE, domain_reading, largest, random_sums

from mixplan.study.forecasts.formulas import (
    BOUNDS,
    COMPETITORS,
    DomainReading,
    TargetReading,
    bounds_of,
    cosine,
    cosine_of_counts,
    drift_variants,
    forecasts_of,
    ratio,
)


@pytest.fixture
def domain() -> DomainReading:
    return domain_reading()


@pytest.fixture
def target() -> TargetReading:
    return TargetReading(random_sums(1, 90), random_sums(2, 80), random_sums(3, 60), Counter({1: 4, 2: 2, 9: 1}))


def angle(left, right) -> float:
    dot = sum(a * b for a, b in zip(left, right, strict=True))
    return dot / sqrt(sum(a * a for a in left) * sum(b * b for b in right))


@pytest.fixture
def found(target, domain) -> dict[str, float]:
    return forecasts_of("t", target, domain, count=COUNT, seed=7)


def test_scores_on_drift_dimensions(found, target, domain):
    s, a = domain.own.shift / 70, domain.own.act / 70
    toward = target.own.shift / 90
    drift = largest(toward)
    assert found["sts_icl"] == pytest.approx(sum(s[i] for i in drift))
    assert found["sts_act"] == pytest.approx(sum(a[i] for i in drift))
    assert found["share"] == pytest.approx(sum(s[i] for i in drift) / sum(s))
    assert found["share_act"] == pytest.approx(sum(a[i] for i in drift) / sum(a))
    assert found["weighted"] == pytest.approx(sum(s[i] * toward[i] for i in range(WIDE)) / sum(toward))
    assert found["weighted_act"] == pytest.approx(sum(a[i] * toward[i] for i in range(WIDE)) / sum(toward))
    over = [max(0, toward[i] - target.neutral.shift[i] / 80) for i in range(WIDE)]
    assert found["sts_icl_corrected"] == pytest.approx(sum(s[i] for i in largest(over)))


def test_competitors(found, target, domain):
    s, e = domain.own.shift / 70, domain.own.raw_shift / 70
    toward = target.own.shift / 90
    drift = largest(toward)
    quiet = [i for i in largest(-toward, WIDE) if target.own.fired[i] > 0 and i not in drift][:COUNT]
    assert found["low_shift"] == pytest.approx(sum(s[i] for i in quiet))
    assert found["total_shift"] == pytest.approx(sum(s))
    assert found["total_shift_raw"] == pytest.approx(sum(e))
    raw = largest(target.own.raw_shift)
    assert found["sts_icl_raw"] == pytest.approx(sum(e[i] for i in raw))
    assert found["sts_act_raw"] == pytest.approx(sum(abs(domain.own.raw_sum[i]) / 70 for i in raw))
    assert found["similarity"] == pytest.approx(angle(domain.own.act, target.own.act))
    assert found["similarity_raw"] == pytest.approx(angle(domain.own.raw_sum, target.own.raw_sum))
    assert found["similarity_words"] == pytest.approx((4 * 3 + 1 * 5) / sqrt((16 + 4 + 1) * (9 + 25 + 4)))
    assert found["pool_rows"] == 123
    assert found["answer_entropy"] == 1.25
    assert set(COMPETITORS) <= set(found)


def test_random_features_come_near_the_mean_live_feature_and_follow_the_seed(found, target, domain):
    live = [i for i in range(WIDE) if target.own.fired[i] > 0]
    mean = COUNT * np.mean([domain.own.shift[i] / 70 for i in live])
    assert found["random_features"] == pytest.approx(mean, rel=0.2)
    other = forecasts_of("t", target, domain, count=COUNT, seed=8)
    assert {name for name in found if found[name] != other[name]} == {"random_features"}
    every = forecasts_of("t", target, domain, count=WIDE, seed=7)
    assert every["random_features"] == pytest.approx(every["total_shift"])


def test_directions(found, target, domain):
    own, source = domain.own, target.own
    assert found["direction"] == pytest.approx(angle(own.delta, source.delta))
    assert found["direction_raw"] == pytest.approx(angle(own.raw_delta, source.raw_delta))
    assert found["profile"] == pytest.approx(angle(own.shift, source.shift))
    assert found["profile_root"] == pytest.approx(angle([sqrt(x) for x in own.shift], [sqrt(x) for x in source.shift]))


@pytest.mark.parametrize(("name", "tokens"), [("behind", (66, 64)), ("behind_answers", (31, 29))])
def test_what_the_target_s_demonstrations_bring_to_the_domain(found, target, domain, name, tokens):
    pair = {"behind": (domain.behind, domain.neutral), "behind_answers": (domain.answers, domain.neutral_answers)}
    shown, prose = (kind["t"] for kind in pair[name])
    s, n = ([x / count for x in one.shift] for one, count in zip((shown, prose), tokens, strict=True))
    v, w = ([x / count for x in one.delta] for one, count in zip((shown, prose), tokens, strict=True))
    assert found[name] == pytest.approx(sum(s))
    assert found[f"{name}_drift"] == pytest.approx(sum(s[i] for i in largest(target.own.shift)))
    assert found[f"{name}_excess"] == pytest.approx(sum(max(0, x - y) for x, y in zip(s, n, strict=True)))
    assert found[f"{name}_beyond"] == pytest.approx(sum((x - y) ** 2 for x, y in zip(v, w, strict=True)))
    assert found[f"{name}_raw"] == pytest.approx(sum(shown.raw_shift) / tokens[0])
    toward = angle([x - y for x, y in zip(v, w, strict=True)], target.own.delta)
    assert found[f"{name}_toward"] == pytest.approx(toward)


def test_previews_and_what_neutral_prose_leaves_of_them(found):
    assert {name: value for name, value in found.items() if name.startswith("preview")} == pytest.approx(
        {
            "preview_kl": 0.5,
            "preview_kl_excess": 0.3,
            "preview_kl_ratio": 2.5,
            "preview_bits_per_byte": -0.2,
            "preview_bits_per_byte_corrected": -0.3,
            "preview_gold_margin": 0.3,
            "preview_gold_margin_corrected": -0.1,
        }
    )


def test_a_preview_below_neutral_prose_has_no_excess(target, domain):
    domain.preview["t"]["kl"] = 0.1
    assert forecasts_of("t", target, domain, count=COUNT, seed=0)["preview_kl_excess"] == 0
    domain.neutral_preview["t"]["kl"] = 0.0
    assert np.isfinite(forecasts_of("t", target, domain, count=COUNT, seed=0)["preview_kl_ratio"])


def test_drift_variants_are_the_largest_of_their_formula(target):
    s, n, r = target.own.shift / 90, target.neutral.shift / 80, target.answers.shift / 60
    v, w = target.own.delta / 90, target.neutral.delta / 80
    h, g = target.own.act / 90, target.answers.act / 60
    by_hand = {
        "icl": [s[i] for i in range(WIDE)],
        "icl_corrected": [max(0, s[i] - n[i]) for i in range(WIDE)],
        "icl_answers": [r[i] for i in range(WIDE)],
        "icl_both": [s[i] / sum(s) + r[i] / sum(r) for i in range(WIDE)],
        "icl_mean_change": [v[i] ** 2 for i in range(WIDE)],
        "icl_beyond_neutral": [(v[i] - w[i]) ** 2 for i in range(WIDE)],
        "icl_relative": [s[i] / sqrt(h[i] + 1e-3) for i in range(WIDE)],
        "activation": [h[i] for i in range(WIDE)],
        "answer_activation": [g[i] for i in range(WIDE)],
        "shift_and_activation": [sqrt(s[i] * h[i]) for i in range(WIDE)],
    }
    variants = drift_variants(target, count=COUNT)
    assert {name: list(chosen) for name, chosen in variants.items()} == {
        name: largest(values) for name, values in by_hand.items()
    }


def test_bounds_know_what_training_moved(domain):
    rng = np.random.default_rng(0)
    drift = {
        "target.shift": rng.random(WIDE), "law.shift": rng.random(WIDE), "law.raw_shift": rng.random(RAW),
    }  # fmt: skip
    moved = largest(drift["target.shift"])
    found = bounds_of(domain, drift, "law", count=COUNT)
    assert tuple(found) == BOUNDS
    assert found["actual_dimensions"] == pytest.approx(sum(domain.own.shift[i] for i in moved) / 70)
    assert found["actual_act"] == pytest.approx(sum(domain.own.act[i] for i in moved) / 70)
    assert found["actual_shift"] == pytest.approx(sum(drift["law.shift"]))
    assert found["actual_shift_raw"] == pytest.approx(sum(drift["law.raw_shift"]))


def test_a_domain_that_nothing_moves_has_numbers_all_the_same(target, domain):
    still = random_sums(4, 70, dead=WIDE)
    nothing = DomainReading(**{**vars(domain), "own": still, "words": Counter()})
    found = forecasts_of("t", target, nothing, count=COUNT, seed=0)
    assert all(np.isfinite(value) for value in found.values())
    zero = ("share", "share_act", "weighted", "direction", "profile", "similarity", "similarity_words")
    assert [found[name] for name in zero] == [0.0] * len(zero)


def test_cosines_and_ratios_of_nothing_are_0():
    assert cosine(np.zeros(3), np.ones(3)) == 0
    assert cosine(np.array([1.0, 0]), np.array([-2.0, 0])) == -1
    assert cosine_of_counts(Counter(), Counter({1: 2})) == 0
    assert (ratio(1.0, 4.0), ratio(0.0, 0.0)) == (0.25, 0.0)
