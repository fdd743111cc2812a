"""What plans a recipe's rows must be there to be read: scores of features with an SAE, the others without."""

import pytest
from wrong_recipes import BASE, assert_refused

from mixplan.recipe import load_recipe


def lay(folder, text):
    place = folder / "recipe.yaml"
    place.write_text(text)
    return place


WITH = "  sae: {embedded: true}\n"
REFUSED = {
    "a score of features": (
        (WITH, "  sae: none\nsts: {score: act}\n"),
        "recipe.yaml:4: sts.score: `act` is made of an SAE's features, and `model.sae` is none. Remove it, or write "
        "preview or stream.",
    ),
    "a score for where there is no SAE": (
        (WITH, f"{WITH}sts: {{score: stream}}\n"),
        "recipe.yaml:4: sts.score: `stream` plans where there is no SAE (`model.sae: none`), and this recipe has one. "
        "Remove it, or write icl or act.",
    ),
    "drift without features": (
        (WITH, "  sae: none\ndrift: {from: rollouts}\n"),
        "recipe.yaml:4: drift.from: `rollouts` predicts which SAE features the job moves, and `model.sae` is none. "
        "Remove it, or name an SAE.",
    ),
    "reading to order without features": (
        (WITH, "  sae: none\nsts: {query_tokens: auto}\n"),
        "recipe.yaml:4: sts.query_tokens: `auto` reads until an SAE's features settle the plan, and `model.sae` is "
        "none. Give a number, or name an SAE.",
    ),
    "a bound on a budget that is given": (
        (WITH, f"{WITH}drift: {{query_tokens: 50, most_tokens: 90}}\n"),
        "recipe.yaml:4: drift.most_tokens: it bounds `query_tokens: auto`, and `drift.query_tokens` is 50. Remove one "
        "of the two.",
    ),
    "another word for how much is read": (
        (WITH, f"{WITH}drift: {{query_tokens: all}}\n"),
        "recipe.yaml:4: drift.query_tokens: found the text 'all', expected a whole number of at least 1 or 'auto'.",
    ),
    "an SAE that is another word": (
        (WITH, "  sae: no\n"),
        "recipe.yaml:3: model.sae: found the text 'no', expected a mapping or 'none'.",
    ),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_each_mistake_has_its_line_and_remedy(tmp_path, monkeypatch, capsys, mistake):
    assert_refused(tmp_path, REFUSED[mistake], monkeypatch, capsys)


@pytest.mark.parametrize(
    ("text", "score"),
    [("  sae: none\n", "preview"), ("  sae: none\nsts: {score: stream}\n", "stream"), (WITH, "icl")],
    ids=["none", "stream", "an SAE"],
)
def test_the_score_follows_from_the_sae(tmp_path, text, score):
    loaded = load_recipe(lay(tmp_path, BASE.replace(WITH, text)))
    assert loaded.recipe.sts.score == score
    assert ("preview" in loaded.resolved["sts"]) == (score != "icl")
    assert (loaded.recipe.model.sae_spec is None) == (score != "icl")


def test_an_override_takes_the_sae_away_or_adds_one(tmp_path):
    place = lay(tmp_path, BASE)
    assert load_recipe(place, ["model.sae=none"]).recipe.sts.score == "preview"
    place = lay(tmp_path, BASE.replace(WITH, "  sae: none\n"))
    assert load_recipe(place, ["model.sae={embedded: true}"]).recipe.sts.score == "icl"
