"""Makes trajectories of a target and two domains, measured while a model trains."""

from mixplan.saved.trajectory import (
    Begin,
    Part,
    PartPoint,
    Point,
    Trajectory,
)

ROWS = 4


def made_trajectory(*figures: tuple[list[float], float], quantity: str = "bits_per_byte") -> Trajectory:
    """A trajectory of a target and two domains, of each point the target's values and the worst domain's KL."""
    part = Part(measure="likelihood", headline="exact", quantity=quantity, rows=list("abcd"), kl_rows=["a"], tokens=7)
    points = tuple(
        Point(
            step=10 * number,
            seconds=float(number),
            spent=0.1 * number,
            parts={
                "target": PartPoint(kl=[9.0], quantity=values),
                "law": PartPoint(kl=[loss], quantity=[1.0] * ROWS, drift=0.5),
                "fox": PartPoint(kl=[loss / 2], quantity=[1.0] * ROWS),
            },
        )
        for number, (values, loss) in enumerate(figures)
    )
    begin = Begin(
        version=1, mixplan="0", plan="p", asked="a", model="m", steps=100, processes=1, settings={}, features=3,
        top=5, parts=dict.fromkeys(("target", "law", "fox"), part),
    )  # fmt: skip
    return Trajectory(begin, points)


PLAIN = made_trajectory(([2.0] * ROWS, 0.0), ([1.5] * ROWS, 0.1), ([1.0] * ROWS, 0.3))
