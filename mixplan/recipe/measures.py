"""Says which measures a target or domain takes, by its section and by what the recipe asks to be measured."""

from __future__ import annotations

from mixplan.recipe.domain_spec import DomainSpec
from mixplan.recipe.spec import EvaluateSpec, Measure


def headline_measure(name: str, domain: DomainSpec, evaluate: EvaluateSpec, *, grader: str | None = None) -> Measure:
    """The headline measure: the recipe's, else `choice`, `exact` or `likelihood` by the format.

    Question and answer is graded; so is any other format whose grader the recipe names. The rest, whose answers are
    free text, is `likelihood`.

    Args:
        name: The domain's, `target`, or `target.NAME`.
        domain: Its section.
        evaluate: The recipe's section.
        grader: How answers are graded once the rows are read; as the section has it when None.
    """
    if name in evaluate.measures:
        return evaluate.measures[name]
    if domain.format == "choice":
        return "choice"
    stated = domain.grader not in ("auto", "none")
    asked = domain.format == "question_answer" and (grader or domain.grader) != "none"
    return "exact" if stated or asked else "likelihood"


def measures_taken(
    name: str, domain: DomainSpec, evaluate: EvaluateSpec, *, grader: str | None = None
) -> list[Measure]:
    """The headline, then what else is measured and fits; see `headline_measure`."""
    fits = {
        "choice": domain.format == "choice",
        "exact": (grader or domain.grader) != "none",
        "lm_eval": name in evaluate.tasks,
    }
    others = [measure for measure in evaluate.also if fits.get(measure, True)]
    return list(dict.fromkeys([headline_measure(name, domain, evaluate, grader=grader), *others]))
