"""Writes quantities and changes with their units and words, alike in terminal, page and model card."""

from __future__ import annotations

from dataclasses import dataclass

from mixplan.report.text import number, plain
from mixplan.saved.base_types import Expected

WORDS = {"gain": "gain", "loss": "loss", "moved": "moved", "none": "no clear change"}
"""A change's direction in words; "no clear change" where the interval does not leave zero."""


@dataclass(frozen=True)
class Quantity:
    """How one quantity is written.

    Attributes:
        title: What it is, for a heading.
        unit: The unit of a value.
        change_unit: The unit of a change: percentage points where values are per cent.
        scale: What a saved value is multiplied by.
        least: The lowest that a value can be; None without an end.
        most: The highest.
        rounding: Sizes below it are written as 0: what arithmetic leaves of a model's divergence from itself.
    """

    title: str
    unit: str = ""
    change_unit: str = ""
    scale: float = 1.0
    least: float | None = None
    most: float | None = None
    rounding: float = 0.0

    @property
    def subject(self) -> str:
        """The title inside a sentence."""
        return f"{self.title[:1].lower()}{self.title[1:]}"

    def value(self, value: float) -> str:
        """Write a value with its unit."""
        text = f"{self.scale * value:.1f}" if self.unit == "%" else number(self._rounded(value))
        return f"{text} {self.unit}".strip()

    def signed(self, value: float) -> str:
        """Write a change with its sign, without its unit."""
        text = f"{self.scale * value:+.1f}" if self.unit == "%" else _signed(self._rounded(value))
        return "0.0" if text in ("+0.0", "-0.0") else text

    def change(self, value: float) -> str:
        """Write a change with its sign and unit."""
        return f"{self.signed(value)} {self.change_unit}".strip()

    def bounds(self, low: float, high: float) -> str:
        """Write a change's interval, without its unit."""
        return f"[{self.signed(low)}, {self.signed(high)}]"

    def noise(self, value: float) -> str:
        """Write a noise floor, which has no sign, without its unit."""
        return self.signed(value).lstrip("+")

    def _rounded(self, value: float) -> float:
        return 0.0 if abs(value) < self.rounding else value

    def largest_change(self) -> tuple[float | None, float | None]:
        """The ends between which a change can lie; None without an end."""
        if self.least is None or self.most is None:
            return None, None
        return self.least - self.most, self.most - self.least

    def tick(self, value: float) -> str:
        """Write a place on an axis."""
        text = plain(self.scale * value)
        return f"{text} {self.unit}" if self.unit == "%" else text


QUANTITIES = {
    "accuracy": Quantity("Accuracy", "%", "pp", 100, 0, 1),
    "correct": Quantity("Accuracy of choices", "%", "pp", 100, 0, 1),
    "gold_probability": Quantity("Probability of the right option", "%", "pp", 100, 0, 1),
    "score": Quantity("Score of graded answers", "%", "pp", 100, 0, 1),
    "bits_per_byte": Quantity("Bits per byte of the reference answer", "bits/B", "bits/B", least=0),
    "kl": Quantity("Token KL from the untrained model", "nats", "nats", least=0, rounding=1e-6),
    "acc": Quantity("Task accuracy", "%", "pp", 100, 0, 1),
    "acc_norm": Quantity("Task accuracy by length-normalised likelihood", "%", "pp", 100, 0, 1),
    "exact_match": Quantity("Exact matches", "%", "pp", 100, 0, 1),
    "bits_per_word": Quantity("Bits per word", "bits", "bits", least=0),
    "bits_per_item": Quantity("Bits per item", "bits", "bits", least=0),
}


def quantity(name: str | None) -> Quantity:
    """How a quantity is written; one that is not known here keeps its name and has no unit."""
    return QUANTITIES.get(name or "", Quantity(name or ""))


def forecast_line(name: str, expected: Expected | None) -> str:
    """Write what was expected of a change; empty where nothing was."""
    if expected is None:
        return ""
    written = quantity(name)
    return f"{written.signed(expected.change)} {written.bounds(expected.low, expected.high)}"


def _signed(value: float) -> str:
    text = number(value, 2)
    return text if text.startswith("-") or text == "0" else f"+{text}"
