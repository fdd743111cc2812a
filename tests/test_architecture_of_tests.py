"""Holds the tests' own files to the rules of the house: names, sizes, nothing skipped, and where helpers live."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from package_files import ROOT, SOURCES, TESTS, name_of, tree

HELPERS = TESTS / "helpers"
FILES = sorted(TESTS.rglob("*.py"))
WHOLE_HOUSE = {
    "architecture": "rules on the package as a whole",
    "architecture_of_tests": "this file: rules on the tests as a whole",
    "bench_table": "the table that `bin/bench --against OLD` prints",
    "damage": "every kind of file that a run and its cache hold, damaged, under each command",
    "docs": "README and docs/: links, commands, formats, generated pages",
    "levers_study": "the study's own comparison of levers, recipes/studies/smollm2-135m-levers/compare.py",
    "taught_study": "the study's own teaching and search, recipes/studies/smollm2-135m-skills/taught.py",
    "installed": "the wheel, installed elsewhere",
    "log_forecasts": "the tables of docs/evidence.md that `bin/log_forecasts.py` prints",
    "models_hub": "each model config through the hub's code",
    "page_colours": "the pages' style sheets, light and dark",
    "pages_in_a_browser": "the pages that reports write, in a real browser",
    "quickstart": "the commands in bin/ and the shipped recipes on the embedded real model",
    "model_families": "reading, scoring and answering with many families of models",
    "grpo_direction_study": "recipes/studies/smollm2-135m-grpo-direction, its rollouts, predictors and judgement",
    "organism": "the model organism that `bin/organism` makes",
    "organism_arms": "trainings of the organism and the search that they make",
    "organism_heldout": "the organism's comparison of mixtures on held-out targets, and the page of results",
    "organism_levers": "the organism's comparison of levers at equal gain, and its part of the page",
    "outcome_keys": "each recipe key that a stage after the plan reads",
    "recipe_keys": "each recipe key and the artifact of a plan that it changes",
    "recipe_overrides": "`--set`, which the recipe's loader, rules and command line share",
    "recipes_hub": "a paper's recipe through the hub's code",
    "recipes_shipped": "each recipe and config in the tree",
    "held_out_study": "recipes/studies/smollm2-135m-held-out, its page from its data",
    "skills_study": "recipes/studies/smollm2-135m-skills, its questions, trainings, rule and page",
    "responses_study": "recipes/studies/smollm2-135m-responses, its oracle, rule and page",
    "sources": "a target of several sources, from recipe to report",
}
"""Tests of no single module, with what they are about."""

THROUGH_OTHERS = {
    "allocate": ("plan",),
    "api": ("amounts", "results"),
    "cli": ("diff",),
    "domains": ("record", "tables"),
    "export": ("swift",),
    "features": ("examples",),
    "mixture": ("build", "result"),
    "model": ("stream", "text", "unpacked_reading"),
    "monitor": ("points",),
    "outcome": ("units",),
    "plan": ("figures", "opened", "stopwatch"),
    "push": ("file_changes", "repository"),
    "recipe": ("measures", "reading_spec", "sae_candidates", "sae_folder"),
    "recipe.foreign": ("axolotl", "llama_factory", "read", "rows", "swift", "to_recipe", "trl"),
    "report": ("command_line", "difference", "paired_items", "without_sae"),
    "sae": ("card",),
    "study": ("wait",),
    "study.arms": ("dry_run",),
    "study.files": ("table", "trainings", "work"),
}
"""Modules that no test takes anything from: they run where tests call what imports them. None is to be added."""


def test_no_test_is_skipped():
    wrong = [
        f"{path.name}:{node.lineno}: {ast.unparse(node)}"
        for path in FILES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and node.attr in ("skip", "skipif", "xfail", "importorskip")
    ]
    assert wrong == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_test_file_keeps_to_400_lines_and_opens_with_a_sentence(path):
    assert path.read_text(encoding="utf-8").count("\n") <= 400
    assert (ast.get_docstring(tree(path)) or "").partition("\n\n")[0].endswith(".")


def modules_by_test_name() -> set[str]:
    return {name_of(path).replace(".", "_") for path in SOURCES}


def test_each_test_file_is_named_after_a_module():
    tests = {path.stem.removeprefix("test_") for path in TESTS.glob("test_*.py")}
    assert tests - modules_by_test_name() - set(WHOLE_HOUSE) == set()


def test_each_part_of_the_package_has_its_tests():
    tests = {path.stem.removeprefix("test_") for path in TESTS.glob("test_*.py")}
    parts = {name_of(path).partition(".")[0] for path in SOURCES} - {"", "__main__"}
    assert [part for part in sorted(parts) if not any(f"{test}_".startswith(f"{part}_") for test in tests)] == []


def taken_from() -> set[str]:
    """Modules of the package that a test or helper takes something from, or puts something into by name."""
    taken: set[str] = set()
    for path in FILES:
        for source, name in imported(tree(path)):
            taken |= {source, f"{source}.{name}"}
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("mixplan."):
                taken |= {node.value, node.value.rpartition(".")[0]}
    return {name.removeprefix("mixplan.") for name in taken}


def test_each_module_has_a_test_of_its_own_or_gives_something_to_one():
    tests, taken = {path.stem.removeprefix("test_") for path in TESTS.glob("test_*.py")}, taken_from()
    modules = [name_of(path) for path in SOURCES if path.name != "__init__.py"]  # those of packages hand on names
    alone = {name for name in modules if name.replace(".", "_") not in tests and name not in taken}
    assert alone == {f"{package}.{name}" for package, names in THROUGH_OTHERS.items() for name in names}


def imported(module: ast.Module) -> Iterator[tuple[str, str | None]]:
    """Each name that a file takes from a module, wherever it does so; none where it takes the module itself."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


def place_of(module: str) -> Path | None:
    """The file of a module of the package, of a helper or of a test; none of a library's."""
    parts = module.split(".")
    if parts[0] == "mixplan":
        place = ROOT.joinpath(*parts)
        return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    places = (folder / f"{module}.py" for folder in (HELPERS, TESTS))
    return next((place for place in places if place.is_file()), None)


@cache
def defined(place: Path) -> frozenset[str]:
    """Names at the top of a module, those it imports among them; modules below it too where it is a package."""
    names = {path.stem for path in place.parent.iterdir()} if place.name == "__init__.py" else set()
    for node in statements(tree(place)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.For | ast.With):
            names |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and is_stored(part)}
    return frozenset(names)


def is_stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Statements that run when a module is imported, those below `if`, `try` and the like too."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.ExceptHandler):
            yield child
            if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from statements(child)


def missing(module: ast.Module) -> Iterator[str]:
    """Names that a test or helper takes from a module of the package or of the tests that has no such name."""
    whole = set()
    for source, name in imported(module):
        place = place_of(source)
        if place is None or source == "mixplan":  # whose names come late, as its own test holds
            continue
        if not place.is_file():
            yield source
        elif name is None:
            whole.add(source)
        elif name not in defined(place):
            yield f"{source}.{name}"
    for node in ast.walk(module):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in whole:
            names = defined(place_of(node.value.id))
            yield from () if node.attr in names else (f"{node.value.id}.{node.attr}",)


def test_no_test_imports_another():
    wrong = [
        f"{path.stem} takes {name} from {source}"
        for path in FILES
        for source, name in imported(tree(path))
        if source.startswith(("test_", "tests."))
    ]
    assert wrong == [], "what tests share lives in tests/helpers"


def test_what_tests_import_is_there():
    wrong = [f"{path.stem}: {name}" for path in FILES for name in missing(tree(path))]
    assert wrong == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("from package_files import tree, ROOT", []),
        ("from package_files import three", ["package_files.three"]),
        ("def later():\n    from package_files import three", ["package_files.three"]),
        ("import package_files\npackage_files.tree, package_files.three", ["package_files.three"]),
        ("from mixplan.errors import DataError, Dataerror", ["mixplan.errors.Dataerror"]),
        ("from mixplan.recipe import load, load_recipe", []),
        ("from mixplan.recipes import load_recipe", ["mixplan.recipes"]),
        ("from numpy import nothing", []),
    ],
)
def test_a_name_that_is_not_there_is_seen(code, found):
    assert list(missing(ast.parse(code))) == found
