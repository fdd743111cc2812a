"""Computes several measures of the same rows by one reading, in which every prompt is read once for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mixplan.domains import Row
from mixplan.errors import ModelError
from mixplan.evaluate.behaviour import OwnAnswers, behaviour_of, equal_readings
from mixplan.evaluate.choice import ask_choice, choice_of
from mixplan.evaluate.likelihood import ask_likelihood, likelihood_of
from mixplan.evaluate.reading import read_together
from mixplan.evaluate.scoring import check_vocabularies, vocabulary
from mixplan.model import Model
from mixplan.saved.evaluation import Measured

SCORED = {"choice": (ask_choice, choice_of), "likelihood": (ask_likelihood, likelihood_of)}
"""Measures by log-probability: what they ask of a row, and what becomes of the scores."""


def measure_together(
    model: Model,
    rows: Sequence[Row],
    measures: Sequence[str],
    *,
    own: OwnAnswers | None = None,
    advance: Callable[[int], None],
) -> dict[str, Measured]:
    """Measure `choice`, `likelihood` and `behaviour`, or some of them, by one reading of the rows.

    Args:
        model: The model.
        rows: Rows of any format; of choice rows alone when `choice` is measured.
        measures: Which ones.
        own: The untrained model's answers, which `behaviour` reads; where `model` is the untrained model itself, `kl`
            is what two readings of it differ by, and its states are kept for the models trained from it.
        advance: Told of rows once they are read.

    Returns:
        Each measure's values, in the order of `measures`.

    Raises:
        ModelError: a model's output head is of no kind that mixplan knows, or the vocabularies differ.
    """
    untrained = own is not None and own.model is model
    if own is not None and not untrained:
        check_vocabularies(own.model, model)
        refuse_absent_tokens(own, model)
    asked = {measure: SCORED[measure][0](model, rows) for measure in measures if measure in SCORED}
    followed = own.asked if own is not None else ()
    scores, read = read_together(model, list(asked.values()), followed, advance=advance)
    found = {measure: SCORED[measure][1](asked[measure], scored) for measure, scored in zip(asked, scores, strict=True)}
    states = [each for (each,) in read]
    if own is not None and untrained:
        own.keep(states)
        found["behaviour"] = equal_readings(own, states)
    elif own is not None:
        found["behaviour"] = behaviour_of(model, own, states)
    return {measure: found[measure] for measure in measures}


def refuse_absent_tokens(own: OwnAnswers, model: Model) -> None:
    """Hold that a model whose head is shorter can read what the untrained model answered.

    Raises:
        ModelError: an answer holds a token that only pads the untrained model's head, and that the model lacks.
    """
    outputs = vocabulary(model)
    absent = sum(max(max(ids) for ids in tree.branches) >= outputs for _, tree in own.asked)
    if absent:
        raise ModelError(
            f"'{model.name}' has {outputs} output tokens, but {absent} of {len(own.asked)} answers of the untrained "
            f"'{own.model.name}' hold one beyond these. Leave `behaviour` out of `evaluate`."
        )
