"""Writes a study's pages from JSON values as its files hold them; figures may lack what a page does not show."""

import json
from typing import Any

from as_saved import plain, typed
from random_table import random_table

from mixplan.study.files.ablations import AblationsFile, AskedAblations, Concentration
from mixplan.study.files.arms import ArmsResults
from mixplan.study.files.judgement import Learned, Results
from mixplan.study.files.own_features import LabelledFile
from mixplan.study.files.read import LookedInto
from mixplan.study.files.registration import Registered
from mixplan.study.files.zeroing import ZeroingFile
from mixplan.study.judged.judge import judge
from mixplan.study.judged.pass_marks import Mark
from mixplan.study.judged.table import Table
from mixplan.study.results.arms import arms_markdown
from mixplan.study.results.page import results_markdown

FURTHER = {"concentration": Concentration, "ablations": AblationsFile, "zeroing": ZeroingFile, "labelled": LabelledFile}
MARKS = [
    Mark("Pearson of the chosen one | held out", "chosen/kl/pearson/held_out", 0.9, 0.5),
    Mark("half of the dimensions", "overlap/chosen/held_out", 50),
]
STUDY = {
    "hash": "ab" * 32,
    "mixplan": "0.1",
    "libraries": {"torch": "2.13"},
    "command": "mixplan study run recipes/studies/small/study.yaml",
    "study": {
        "title": "What holds\u202e",
        "questions": ["Do they say which domains move?"],
        "seeds": list(random_table().seeds),
    },
}
OTHERWISE = {"pigeonhole": None, "targets": 3, "domains": [1, 1]}


def complete(value: Any) -> Any:
    """JSON values, their figures with all that any kind of figure has."""
    if isinstance(value, dict):
        made = {name: complete(part) for name, part in value.items()}
        return OTHERWISE | made if {"value", "low"} <= set(made) else made
    return [complete(part) for part in value] if isinstance(value, list) else value


def judged_values(table: Table, **asked: Any) -> dict[str, Any]:
    """The judgement of a table as JSON values."""
    return plain(judge(table, **asked))


def results(judged: dict[str, Any]) -> Results:
    """results.json of a study of forecasts."""
    return typed(Results, complete({"study": "ab" * 32} | judged))


def learned(values: dict[str, Any]) -> Learned:
    """What forecasts that learned from other targets were worth."""
    return typed(Learned, complete(values))


def registered(study: dict[str, Any]) -> Registered:
    """registered.json."""
    return typed(Registered, {name: value for name, value in study.items() if name != "command"})


def asked_ablations(values: dict[str, Any]) -> AskedAblations:
    """What a study's file asks to be looked into further."""
    return typed(AskedAblations, values)


def looked_into(further: dict[str, Any] | None) -> LookedInto:
    """What a study looked into further, by name as it is saved."""
    return LookedInto(**{name: typed(FURTHER[name], complete(values)) for name, values in (further or {}).items()})


def page(study: dict[str, Any], judged: dict[str, Any], table: Table, further: dict[str, Any] | None = None) -> str:
    """RESULTS.md of a study of forecasts."""
    return results_markdown(
        registered(study), results(judged), table, looked_into(further), command=str(study["command"])
    )


def arms_page(study: dict[str, Any], judged: dict[str, Any]) -> str:
    """RESULTS.md of a study of arms."""
    found = typed(ArmsResults, {"foresight": None, "study": "ab" * 32} | json.loads(json.dumps(judged)))
    return arms_markdown(registered(study), found, command=str(study["command"]))
