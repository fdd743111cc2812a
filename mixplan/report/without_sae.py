"""Says on a plan that was made without an SAE what it lacks, and how to add one later."""

from __future__ import annotations

from mixplan.report.markup import Html, tag
from mixplan.report.tables import section
from mixplan.saved.plan import Plan

SHORT = {
    "preview": "how far the target's worked examples in front of a question move the model's own answer",
    "stream": "how far the target's worked examples in front of a question move the model's stream at its answer",
}
"""What each score without an SAE is, in a line."""


def without_sae(plan: Plan) -> Html | None:
    """Say why there are no features, and how to add an SAE; None for a plan that has one."""
    if plan.sae is not None:
        return None
    return section("Without an SAE", tag("p", lacks(plan)), tag("p", later(plan)))


def lacks(plan: Plan) -> str:
    """What a plan without an SAE lacks, and why, in a sentence or two."""
    sources = " Its target's sources are not scored one by one." if plan.target.sources else ""
    return (
        "This plan has no SAE (`model.sae: none`), so no features were read: it has no STS, no drift dimensions, and "
        f"no passages that say why a domain is exposed. {title(plan)} took their place.{sources}"
    )


def later(plan: Plan) -> str:
    """How to add an SAE later, and what stays then."""
    ways = "`mixplan sae train` trains one"
    if plan.model.name == "embedded":
        ways = "`{embedded: true}` is the embedded model's"
    return (
        f"To add one, name it under `model.sae` ({ways}, `mixplan sae ls` lists those that are public) and plan again "
        "with the same recipe: the rows of each split and what was measured of the untrained model stay, and are "
        "reused."
    )


def title(plan: Plan) -> str:
    """The planning score's name as a sentence begins with it."""
    name = plan.score_name
    return name[0].upper() + name[1:]


def one_line(plan: Plan) -> str:
    """What planned the rows of a plan without an SAE, for the terminal."""
    said = "no STS, and no SAE was read. What studies say of it is in the report."
    return f"{title(plan)} is {SHORT[plan.score]}; it is {said}"
