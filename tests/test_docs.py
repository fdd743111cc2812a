"""README and docs/: their links lead somewhere, their commands run, and what they show is what is printed."""

import contextlib
import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from sample_mixtures import build, read_rows

from mixplan.cli import COMMANDS, load_command, main
from mixplan.recipe import Recipe, load_recipe

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "bin"))

from docs_blocks import Block, blocks, pages  # noqa: E402 - bin is no package
from docs_check import missing  # noqa: E402
from docs_pages import PAGES  # noqa: E402

ALL = [block for page in pages() for block in blocks(page)]
YOUR_DATA = [block for block in ALL if block.page == "docs/your-data.md"]


def place(block: Block) -> str:
    return f"{block.page}:{block.line}"


def typed(folder: Path, *arguments: str) -> str:
    """What a command prints that is run in a folder; it must end well."""
    said = io.StringIO()
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        patch.setattr(sys, "argv", ["mixplan", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == 0, said.getvalue()
    return said.getvalue()


# Your data: each example's files are written, its lines put into the page's recipe, and `mixplan check` is asked.


def examples() -> list[tuple[list[Block], Block, list[str]]]:
    """The blocks in front of each example's recipe lines, these, and what the page says that is printed."""
    found, before = [], []
    for number, block in enumerate(YOUR_DATA):
        if block.language == "yaml" and block.title is None:
            shown = YOUR_DATA[number + 1]
            assert shown.language == "text", place(block)
            found.append((before, block, shown.text.splitlines()))
            before = []
        elif block.language != "text":
            before = [*before, block]
    return found


def write(folder: Path, block: Block) -> None:
    path = folder / (block.title or "")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text, encoding="utf-8")


@pytest.mark.parametrize("example", examples(), ids=lambda example: place(example[1]))
def test_each_format_is_read_as_the_page_says(example, tmp_path):
    before, lines, shown = example
    frame = next(block for block in YOUR_DATA if block.title == "frame.yaml")
    for block in before:
        if block.title:
            write(tmp_path, block)
        elif block.language == "python":
            with contextlib.chdir(tmp_path):
                exec(block.text, {})
        else:
            subprocess.run(["bash", "-euc", block.text], cwd=tmp_path, check=True)
    write(tmp_path, next(block for block in YOUR_DATA if block.title == "target.jsonl"))
    recipe = yaml.safe_load(frame.text) | {"domains": yaml.safe_load(lines.text)}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    printed = [" ".join(line.split()) for line in typed(tmp_path, "check", "mine.yaml").splitlines()]
    assert [line for line in map(" ".join, map(str.split, shown)) if line not in printed] == [], "\n".join(printed)


# README: one screen, the two commands at its opening.


def test_the_readme_is_one_screen_with_the_two_commands_at_its_opening():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) <= 550
    first = next(block for block in ALL if block.page == "README.md")
    assert first.line <= 6
    assert re.findall(r"^bin/\w+", first.text, re.MULTILINE) == ["bin/quickstart", "bin/test"]


# Links and paths.


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as Markdown renderers make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def without_blocks(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_links_lead_to_what_is_there(page):
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", without_blocks(page)):
        path, _, anchor = link.partition("#")
        if path.startswith("https://"):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_paths_that_are_named_are_there(page):
    named = re.findall(
        r"`((?:mixplan|tests|bin|configs|recipes|examples|docs|findings)/[\w./-]*)", without_blocks(page)
    )
    absent = {path for path in named if not (REPOSITORY / path.rstrip("/.")).exists()}
    assert absent == set()


# Generated pages.


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_fresh(name):
    made = PAGES[name]()
    assert (REPOSITORY / "docs" / name).read_text(encoding="utf-8") == made, "stale: run bin/docs"
    assert ("## make_plan" if name == "python-api.md" else "| required |") in made


# Commands: each is one that the parser knows, and each block has something that runs it.


def mixplan_commands(block: Block) -> list[list[str]]:
    """The calls of mixplan in a block, as words without the program."""
    lines = (shlex.split(line.strip("()"), comments=True) for line in block.text.splitlines())
    return [words[1:] for words in lines if words and words[0].removeprefix("bin/") == "mixplan"]


@pytest.mark.parametrize("block", [block for block in ALL if block.language == "bash"], ids=place)
def test_commands_are_spelled_as_the_parser_knows_them(block):
    for name, *rest in mixplan_commands(block):
        assert name in COMMANDS
        command = load_command(name)
        if rest and rest[0] in getattr(command, "commands", {}):
            command, rest = command.commands[rest[0]], rest[1:]
        command.make_context(name, rest)


def test_the_workflow_calls_commands_as_the_parser_knows_them():
    (block,) = [block for block in ALL if block.language == "yml"]
    steps = [step for job in yaml.safe_load(block.text)["jobs"].values() for step in job["steps"]]
    called = [shlex.split(step["run"]) for step in steps if "run" in step]
    assert [words[1] for words in called] == ["train", "report"]
    for words in called:
        assert load_command(words[1]).make_context(words[1], words[2:]).params
    assert [word for word in called[1] if word.startswith("--")] == ["--gate", "--junit", "--summary"]


RUN_HERE = {"docs/your-data.md": "bash", "docs/other-trainers.md": "python"}
HELD = ("README.md", "docs/quickstart.md", "docs/your-data.md", "docs/other-trainers.md")


@pytest.mark.parametrize(
    "block", [block for block in ALL if block.page in HELD and block.language == "bash"], ids=place
)
def test_each_block_of_commands_is_run(block):
    if block.comment and block.comment.startswith("run by "):
        assert (REPOSITORY / block.comment.removeprefix("run by ")).is_file()
    elif RUN_HERE.get(block.page) != "bash":
        assert block.comment in ("docs-check", "docs-check in the run folder", "docs-check --long")


@pytest.mark.parametrize("page", [page for page in HELD if page != "docs/your-data.md"])
def test_what_is_shown_follows_the_command_that_printed_it(page):
    own = [block for block in ALL if block.page == page]
    shown = [number for number, block in enumerate(own) if block.language == "text"]
    assert [place(own[number]) for number in shown if own[number - 1].comment != "docs-check"] == []


def test_the_comparison_of_shown_and_printed_lines():
    assert missing("a   table 1\n…\nthe rest … here\n", "a table\n1\nand the rest\nis over here") == []
    assert missing("a table 2\n", "a table 1") == ["a table 2"]


# Recipes on other pages are valid.

STANDS = ("README.md", "CONTRIBUTING.md", "docs/your-data.md")
SHOWN = [block for block in ALL if block.language == "yaml" and block.page not in STANDS]


def frame() -> dict:
    return yaml.safe_load((REPOSITORY / "examples/own_jsonl.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("block", SHOWN, ids=place)
def test_sections_that_are_shown_are_valid(block, tmp_path):
    given = yaml.safe_load(block.text)
    assert set(given) <= set(Recipe.model_fields)
    recipe = frame() | given
    limited = recipe.get("allocate", {})
    named = {*limited.get("floors", {}), *limited.get("caps", {}), *limited.get("shares", {})}
    named |= {name for group in limited.get("groups", {}).values() for name in group["domains"]}
    recipe["domains"] |= dict.fromkeys(named, recipe["domains"]["shop"])
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(recipe))
    assert load_recipe(tmp_path / "mine.yaml").recipe


def test_the_readme_s_recipe_is_valid(tmp_path):
    block = next(block for block in ALL if block.page == "README.md" and block.title == "mine.yaml")
    write(tmp_path, block)
    assert len(load_recipe(tmp_path / "mine.yaml").recipe.domains) == 16
    assert len(block.text.splitlines()) == 10


# Examples.


def test_the_example_over_own_rows_is_checked(capsys):
    said = typed(REPOSITORY, "check", "examples/own_jsonl.yaml").splitlines()
    assert said[0] == "examples/own_jsonl.yaml: valid"
    assert [" ".join(line.split()) for line in said[1:4]] == [
        "target 12 rows: evaluation 1, pool 11, of which query 9 and demonstration 2",
        "shop 12 rows: evaluation 1, pool 11, of which query 9 and demonstration 2",
        "safety 12 rows: evaluation 1, pool 11, of which query 9 and demonstration 2; each answer is a letter",
    ]


# Other trainers: the page's programs run in a folder with a mixture.


def test_programs_for_other_trainers_read_the_mixture(tmp_path, tiny_model, monkeypatch):
    build(tmp_path / "mixture", {"law": 3, "history": 2})
    planned = read_rows(tmp_path / "mixture")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    programs = [
        block
        for block in ALL
        if block.page == "docs/other-trainers.md" and block.language == "python" and not block.title
    ]
    first, loop = (block.text for block in programs)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(first, {})
    assert set(planned[0]) == set(json.loads(said.getvalue().replace("'", '"')))
    found: dict = {}
    exec(loop.replace("HuggingFaceTB/SmolLM2-135M-Instruct", str(tiny_model)), found)
    assert (tmp_path / "model" / "model.safetensors").is_file()
    # The loss fell on the answer alone: what is left of the labels is the last row's answer with its end.
    labels = found["labels"][found["labels"] != -100]
    answer = found["tokenizer"].decode(labels, skip_special_tokens=True)
    assert answer.strip() == planned[-1]["completion"][0]["content"]


# Figures of the studies.

FIGURE = re.compile(r"([+-]?\d+\.?\d*)(?: [a-z]+){0,3} \[([+-]?\d+\.?\d*), ([+-]?\d+\.?\d*)\]")


def rounds_to(exact: tuple[str, ...], shown: tuple[str, ...]) -> bool:
    """Whether figures are others with fewer digits."""
    digits = [len(text.partition(".")[2]) for text in shown]
    pairs = zip(exact, shown, digits, strict=True)
    return all(abs(float(one) - float(other)) <= 0.5000001 * 10**-count for one, other, count in pairs)


@pytest.mark.parametrize("page", ["README.md", "docs/evidence.md"])
def test_figures_with_intervals_stand_in_a_study_s_results(page):
    results = [path.read_text(encoding="utf-8") for path in (REPOSITORY / "recipes/studies").rglob("RESULTS.md")]
    exact = {found.groups() for text in results for found in FIGURE.finditer(text)}
    shown = [found.groups() for found in FIGURE.finditer(" ".join((REPOSITORY / page).read_text("utf-8").split()))]
    assert len(shown) >= 3
    assert [figure for figure in shown if not any(rounds_to(one, figure) for one in exact)] == []
