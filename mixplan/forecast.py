"""STS of each domain in, the loss to expect there out, relative to the others until measured runs give a unit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mixplan.errors import DriftError
from mixplan.sts import Score

TEXT = (
    "No measured runs yet, so the forecast is relative: a domain's risk is its share of all domains' scores. "
    "It says where the job reaches most, not how many points are lost, nor whether the change is a loss or a gain."
)
NOTHING_MOVES = "Every domain's score is 0, so the forecast cannot tell one from another."


@dataclass(frozen=True)
class Risk:
    """A domain's expected loss, as a share of the expected loss of all domains together.

    Attributes:
        relative_risk: 0 to 1; the domains' sum to 1, or are all 0 when no score is above 0.
        low: The score's lower end over the same total.
        high: The score's upper end over the same total; above 1 where one domain outweighs the rest uncertainly.
    """

    relative_risk: float
    low: float
    high: float


@dataclass(frozen=True)
class Forecast:
    """What to expect of each domain.

    Attributes:
        kind: `relative`: shares of an unknown total, without unit or sign.
        text: What the forecast rests on, for the reader.
        risks: By domain, in the order given.
    """

    kind: str
    text: str
    risks: dict[str, Risk]

    def describe(self, name: str) -> dict[str, float]:
        """One domain's risk as JSON values, for the plan."""
        risk = self.risks[name]
        return {"relative_risk": risk.relative_risk, "low": risk.low, "high": risk.high}


def forecast(scores: Mapping[str, Score]) -> Forecast:
    """Forecast from scores alone, with no measured run to learn from.

    The interval is the score's own, divided by the total of the scores as they stand. The total's uncertainty is common
    to all domains, so it moves no domain against another and is left out.

    Args:
        scores: The score that plans the mixture, by domain; its unit cancels.

    Raises:
        DriftError: a score or an end of its interval is not a finite number of at least 0.
    """
    for name, score in scores.items():
        if not all(0 <= value < math.inf for value in (score.value, score.low, score.high)):
            raise DriftError(
                f"domain '{name}': found score {score.value} with interval [{score.low}, {score.high}], expected "
                "finite numbers of at least 0. One that is not finite means that activations overflowed: "
                "set `model.dtype: float32` or `bfloat16`."
            )
    total = math.fsum(score.value for score in scores.values())
    risks = {
        name: Risk(score.value / total, score.low / total, score.high / total) if total else Risk(0.0, 0.0, 0.0)
        for name, score in scores.items()
    }
    return Forecast("relative", TEXT if total else f"{TEXT} {NOTHING_MOVES}", risks)
