"""Makes up evaluations of arms number by number, for the tests of their judgement and of its report."""

from collections.abc import Mapping, Sequence

from mixplan.saved.evaluation import EvaluatedModel, Evaluation
from mixplan.saved.evaluation import Measured as Items
from mixplan.study.arms.judge import QUANTITIES, Measured

Values = Mapping[str, Mapping[str, Sequence[float]]]
"""By domain (`target` is one) and quantity, a number an item."""


def evaluation(values: Values) -> Evaluation:
    """One model's evaluation; every domain's items are called alike, and its first quantity is its headline."""
    domains: dict[str, dict[str, Items]] = {}
    for name, quantities in values.items():
        by_measure: dict[str, dict[str, tuple[float, ...]]] = {}
        for quantity, numbers in quantities.items():
            by_measure.setdefault(QUANTITIES[quantity], {})[quantity] = tuple(map(float, numbers))
        domains[name] = {
            measure: Items(
                measure, tuple(f"r:{number}" for number in range(len(next(iter(found.values()))))), found, {}
            )
            for measure, found in by_measure.items()
        }
    return Evaluation(
        EvaluatedModel(name="tiny", hash="", dtype="float32"),
        domains,
        {name: next(iter(measures)) for name, measures in domains.items()},
    )


def compared(
    target: str, before: Values, after: Mapping[str, Sequence[Values]], *, steps: int = 2, even_as_good: bool = False
) -> Measured:
    """One target at one budget; each arm's trainings have the seeds 0, 1, ..."""
    trained = {arm: {seed: evaluation(one) for seed, one in enumerate(seeds)} for arm, seeds in after.items()}
    rows = {arm: {name: number for number, name in enumerate(before) if name != "target"} for arm in after}
    return Measured(target, evaluation(before), trained, rows, steps, even_as_good)


def bits(target: Sequence[float], **domains: Sequence[float]) -> Values:
    """What a model has in bits a byte, where less is better."""
    return {name: {"bits_per_byte": numbers} for name, numbers in {"target": target, **domains}.items()}
