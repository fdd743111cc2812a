"""Makes the tables of studies from random figures: of forecasts with known worth, and small ones."""

import numpy as np

from mixplan.study.judged.table import Table

T, D, S = 6, 10, 2
TARGETS, DOMAINS = tuple(f"t{i}" for i in range(T)), tuple(f"d{i}" for i in range(D))


def random_table() -> Table:
    rng = np.random.default_rng(7)
    movable, near = rng.normal(size=D), 0.7 * rng.normal(size=(T, D))
    kl = np.exp(movable + near)[:, :, None] * np.exp(0.1 * rng.normal(size=(T, D, S)))
    kl[range(T), range(T)] = np.nan  # a target is no domain of its own
    bits = kl * np.sign(rng.normal(0.5, 1, (T, D)))[:, :, None]
    bits[:, 9] = np.nan  # measured nowhere

    def seen(own, blur):
        return np.exp(movable + own * near + blur * rng.normal(size=(T, D)))

    good = np.exp(movable + near + 0.3 * rng.normal(size=(T, D)))
    # Best on the first three targets and useless on the others.
    lucky = np.where(np.arange(T)[:, None] < 3, np.nan_to_num(kl, nan=1.0).mean(2), rng.random((T, D)))
    return Table(
        targets=TARGETS,
        domains=DOMAINS,
        kinds={name: "short" if i < 6 else "text" if i < 9 else "code" for i, name in enumerate(DOMAINS)},
        seeds=(0, 1),
        development=TARGETS[:3],
        measures={"kl": kl, "bits_per_byte": bits},
        noise={"kl": np.abs(kl) / 20, "bits_per_byte": np.abs(bits) / 20},
        predictors={
            "good": good,
            "lucky": lucky,
            "size": np.tile(rng.random(D), (T, 1)),
            "signed": rng.normal(size=(T, D)),
            "actual": seen(1, 0.1),
        },
        competitors=("size", "signed"),
        bounds=("actual",),
        overlaps={"icl": np.full((T, S), 50.0)},
        live={"icl": 2000},
        drift_features={"icl": 100},
        signs={"front": -np.ones((T, D))},
    )


def small_table() -> Table:
    rng = np.random.default_rng(3)
    kl = rng.random((2, 3, 2))
    kl[1, 2] = np.nan
    return Table(
        targets=("math", "code"),
        domains=("law", "poems", "sums"),
        kinds={"law": "short", "poems": "text", "sums": "short"},
        seeds=(0, 7),
        development=("math",),
        measures={"kl": kl},
        noise={"kl": kl / 10},
        predictors={"sts": rng.random((2, 3)), "size": rng.random((2, 3)), "actual": rng.random((2, 3))},
        competitors=("size",),
        bounds=("actual",),
        overlaps={"icl": np.array([[40.0, 41.0], [50.0, np.nan]])},
        live={"icl": 2000},
        drift_features={"icl": 100},
        signs={"front": rng.standard_normal((2, 3))},
        items={"kl": (20, 30, 40)},
    )
