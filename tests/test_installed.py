"""The wheel, installed elsewhere, works in an empty folder as the repository does: what ships travels with it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_loop import lay

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCES = ("mixplan", "configs", "recipes", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The folder that the wheel is installed in; what it depends on is this interpreter's own."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        source, ignored = REPOSITORY / name, shutil.ignore_patterns("__pycache__")
        if source.is_dir():
            shutil.copytree(source, folder / "source" / name, ignore=ignored)
        else:
            shutil.copy(source, folder / "source" / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    alone = ["--no-deps", "--no-index"]
    subprocess.run([*pip, "wheel", *alone, "--no-build-isolation", "-w", folder, folder / "source"], check=True)
    (wheel,) = folder.glob("*.whl")
    shutil.rmtree(folder / "source")
    subprocess.run([*pip, "install", *alone, "--no-compile", "--target", folder / "site", wheel], check=True)
    return folder / "site"


def call(site: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the installed mixplan in a folder."""
    program = "import sys, mixplan.cli; assert sys.argv.pop(1) in mixplan.cli.__file__; mixplan.cli.main()"
    return subprocess.run(
        [sys.executable, "-c", program, str(site), *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_an_empty_folder_is_enough(installed, tmp_path):
    listed = call(installed, tmp_path, "ls", "--json")
    assert listed.returncode == 0, listed.stderr
    found = json.loads(listed.stdout)
    recipes = {path.relative_to(REPOSITORY) for path in (REPOSITORY / "recipes").glob("*.yaml")}
    assert {Path(entry["path"]) for entry in found["recipes"]} == recipes
    assert {entry["name"] for entry in found["domains"]} >= {"everyday", "mmlu-pro"}
    assert found["runs"] == []
    made = call(installed, tmp_path, "new", "mine")
    assert made.returncode == 0, made.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]
    checked = call(installed, tmp_path, "check", "mine.yaml", "recipes/quickstart.yaml")
    assert checked.returncode == 0, checked.stderr
    assert "mine.yaml: valid" in checked.stdout
    assert "quickstart.yaml: valid" in checked.stdout
    assert checked.stdout.count("a plan downloads nothing") == 2


def test_all_that_commands_look_up_is_there(installed):
    for pattern in ("recipes/*.yaml", "configs/**/*"):
        for path in REPOSITORY.glob(pattern):
            if path.is_file():
                shipped = installed / "mixplan" / "shipped" / path.relative_to(REPOSITORY)
                assert shipped.read_bytes() == path.read_bytes()
    kept = {path.relative_to(REPOSITORY) for path in (REPOSITORY / "mixplan").rglob("*") if path.is_file()}
    kept = {path for path in kept if "__pycache__" not in path.parts}
    assert {path for path in kept if not (installed / path).is_file()} == set()


def test_a_copy_of_a_shipped_recipe_is_written_here_not_into_the_package(installed, tmp_path):
    made = call(installed, tmp_path, "new", "mine", "--from", "recipes/math.yaml")
    assert made.returncode == 0, made.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]
    schema = next(line for line in (tmp_path / "mine.yaml").read_text().splitlines() if "$schema=" in line)
    assert Path(schema.partition("$schema=")[2]).is_file()


def test_a_job_is_planned_trained_and_measured(installed, tmp_path, tiny_model, tiny_sae):
    lay(tmp_path, tiny_model, tiny_sae)
    done = call(installed, tmp_path, "train", "tiny.yaml")
    assert done.returncode == 0, done.stderr
    # No other library's warnings stand among what is said.
    assert done.stderr == ""
    assert not re.search(r"\w+Warning: ", done.stdout)
    # Each step says how far it is and of how many, and whose measuring it is.
    assert "untrained model, fox (3 of 4): exact: 6 rows\n" in done.stdout
    assert "trained model, fox (3 of 4): exact: 6 rows\n" in done.stdout
    run = tmp_path / "runs" / "tiny"
    assert json.loads((run / "outcome.json").read_bytes())["training"]["steps"] == 3
    assert {"plan.json", "mixture", "model", "report.html"} <= {path.name for path in run.iterdir()}
