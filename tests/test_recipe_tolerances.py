"""What a domain may lose: the unit says the measure, and an amount that fits none is refused with what would work."""

from pathlib import Path

import pytest
from wrong_recipes import BASE, lay_out

from mixplan.errors import RecipeError
from mixplan.recipe import LoadedRecipe, load_recipe
from mixplan.recipe.tolerances import tolerances_of

ALSO = "evaluate: {also: [likelihood, behaviour]}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """A recipe with the domains `law`, of choices, and `sums`, of questions; the current folder is its own."""
    lay_out(tmp_path, monkeypatch)
    return tmp_path


def loaded(tolerances: str, more: str = "", text: str = BASE) -> LoadedRecipe:
    Path("recipe.yaml").write_text(f"{text}{more}tolerances: {tolerances}\n")
    return load_recipe(Path("recipe.yaml"))


def refused(tolerances: str, text: str = BASE) -> str:
    with pytest.raises(RecipeError) as caught:
        loaded(tolerances, text=text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("tolerances", "more", "expected"),
    [
        ("{all: 2 pp}", "", {"law": [("2 pp", "choice")], "sums": [("2 pp", "exact")]}),
        ("{all: 2pp, law: 0.10 nats}", "", {"law": [("0.1 nats", "behaviour")], "sums": [("2 pp", "exact")]}),
        ("{all: 2 pp, law: null}", "", {"sums": [("2 pp", "exact")]}),
        ("{law: [1.5 pp, 0.05 bits]}", ALSO, {"law": [("1.5 pp", "choice"), ("0.05 bits", "likelihood")]}),
        # Of several for all, a domain has those that fit a measure of it.
        ("{all: [0.05 bits, 0 pp]}", "", {"law": [("0 pp", "choice")], "sums": [("0 pp", "exact")]}),
        # A measure that is not the headline's may be held to something too, the headline first among those of a unit.
        ("{law: 3 pp}", "evaluate: {measures: {law: likelihood}, also: [exact]}\n", {"law": [("3 pp", "exact")]}),
        ("{law: 3 pp}", "evaluate: {also: [exact]}\n", {"law": [("3 pp", "choice")]}),
        ("{}", "", {}),
        ("{all: null}", "", {}),
    ],
)
def test_the_unit_says_the_measure(tolerances, more, expected):
    recipe = loaded(tolerances, more).recipe
    found = {name: [(one.text, one.measure) for one in held] for name, held in tolerances_of(recipe).items()}
    assert found == expected


def test_points_are_shares_of_items():
    ((tolerance,),) = tolerances_of(loaded("{law: 2 pp}").recipe).values()
    assert (tolerance.amount, tolerance.value) == (2.0, 0.02)


AMOUNT = (
    "expected an amount with its unit: `2 pp` (points of accuracy, at most 100), `0.05 bits` (per byte of the "
    "reference answers) or `0.1 nats` (per token of behaviour)."
)
TEXTS = "expected text such as '2 pp' or a list of at least 1, each item text such as '2 pp'."


@pytest.mark.parametrize(
    ("tolerances", "said"),
    [
        ("{law: 2 %}", f"law: found the text '2 %', {AMOUNT}"),
        ("{law: 200 pp}", f"law: found the text '200 pp', {AMOUNT}"),
        ("{all: -1 pp}", f"all: found the text '-1 pp', {AMOUNT}"),
        ("{law: nan nats}", f"law: found the text 'nan nats', {AMOUNT}"),
        ("{law: 2}", f"law: found the number 2, {TEXTS}"),
        ("{law: []}", f"law: found a list, {TEXTS}"),
        ("{law: [2 pp, 3 pp]}", "law: one unit stands here twice. Give each once."),
        ("{lwa: 2 pp}", "lwa: there is no domain 'lwa'. Did you mean 'law'?"),
        ("{target: 2 pp}", "target: only domains have tolerances: the target is there to gain, and its change is "
                           "reported anyway. Remove it."),
        ("{law: 0.05 bits}", "law: no measure of 'law' is in `bits`: it is measured by choice, behaviour. Write the "
                             "amount in `pp` or `nats`, or add `likelihood` to `evaluate.also`."),
        ("{all: 0.05 bits}", "all: no measure of 'law' is in `bits`: it is measured by choice, behaviour. Write the "
                             "amount in `pp` or `nats`, or add `likelihood` to `evaluate.also`. Or give 'law' an "
                             "entry of its own; `law: null` lets it lose anything. Nor does it fit sums."),
    ],
)  # fmt: skip
def test_what_cannot_be_held_is_refused_at_its_line(tolerances, said):
    assert refused(tolerances) == f"recipe.yaml:18: tolerances.{said}"


def test_each_remedy_works():
    for remedy in ("{law: 0.05 pp}", "{law: 0.05 nats}"):
        assert tolerances_of(loaded(remedy).recipe)
    assert tolerances_of(loaded("{law: 0.05 bits}", ALSO).recipe)
    assert tolerances_of(loaded("{all: 0.05 bits, law: null, sums: 2 pp}").recipe)


def test_a_domain_called_all_leaves_no_word_for_every_domain():
    said = "tolerances.all: a domain is named `all` too. Rename it, or give each domain an amount of its own."
    assert refused("{all: 2 pp}", BASE.replace("  law:", "  all:")) == f"recipe.yaml:18: {said}"


def test_a_recipe_without_any_keeps_its_hash():
    assert "tolerances" not in loaded("{}").resolved
    assert loaded("{law: 2 pp}").resolved["tolerances"] == {"law": "2 pp"}
