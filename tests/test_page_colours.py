"""The pages' colours, light and dark, are told apart by everyone: contrasts as WCAG 2 computes and asks them."""

import re
from importlib import resources

import pytest


def palettes() -> list[dict[str, str]]:
    """The page's colours: light, then dark."""
    sheet = resources.files("mixplan.report").joinpath("page.css").read_text(encoding="utf-8")
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", part)) for part in sheet.split("@media print")[0].split("dark)")
    )
    return [light, {**light, **dark}]


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def outcome_palettes() -> list[dict[str, str]]:
    """The colours of directions: light, then dark, over the page's own."""
    sheet = resources.files("mixplan.report").joinpath("outcome.css").read_text(encoding="utf-8")
    light, dark = sheet.split("@media print")[0].split("dark)")
    found = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", part)) for part in (light, dark)]
    return [page | directions for page, directions in zip(palettes(), found, strict=True)]


@pytest.mark.parametrize("scheme", [0, 1])
def test_directions_are_seen_by_everyone(scheme: int) -> None:
    colours = outcome_palettes()[scheme]
    for kind in ("gain", "loss", "moved", "still"):
        assert contrast(colours[kind], colours["paper"]) >= 3, kind
        assert contrast(colours[kind], colours["wash"]) >= 3, kind
    assert contrast(colours["whisker"], colours["noise"]) >= 3


@pytest.mark.parametrize("scheme", [0, 1])
def test_contrast_meets_wcag_aa(scheme: int) -> None:
    colours = palettes()[scheme]
    texts = [("ink", "paper"), ("quiet", "paper"), ("accent", "paper"), ("ink", "wash"), ("ink", "mark")]
    for text, ground in [*texts, ("ink", "warn-wash"), ("warn", "warn-wash")]:
        assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for shape, ground in [("accent", "paper"), ("whisker", "paper"), ("uniform", "paper")]:
        assert contrast(colours[shape], colours[ground]) >= 3, (shape, ground)
