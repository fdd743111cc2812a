"""Tries the scorer of every reasoning-gym generator on answers whose grade is known; writes what it found.

    python bin/graders.py [ENTRIES]

Each of a generator's entries is saved as JSON and read back, as mixplan keeps it, and its own scorer is asked through
mixplan's grader, in a process within bounds of time and memory. Written are
mixplan/grading/generators.json, which `mixplan check` consults, and docs/graders.md, rendered from it.
"""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

from mixplan.domains.generator import REFUSALS, saved_entry
from mixplan.grading.generators import SAME_QUESTIONS, TOLD_SHARE, Facts
from mixplan.grading.probes import FIXED
from mixplan.grading.process import GradingProcess, ScorerError

ROOT = Path(__file__).resolve().parent.parent
DATA, PAGE = ROOT / "mixplan" / "grading" / "generators.json", ROOT / "docs" / "graders.md"
ENTRIES = 20
SECONDS = 3.0
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")

Entry = dict[str, Any]


def wrong_answers(entry: Entry, other: Entry) -> dict[str, str]:
    """Wrong answers to an entry by their kind, as far as there are some.

    Args:
        entry: The entry.
        other: One with another answer; the entry itself where there is none.
    """
    answer = entry["answer"]
    found = {"an empty answer": "", f"{FIXED!r}": FIXED}
    if other["answer"] != answer:
        found["another entry's answer"] = other["answer"]
    if NUMBER.search(answer):
        found["its numbers + 0.9"] = NUMBER.sub(lambda one: f"{float(one[0]) + 0.9:.10g}", answer)
    if re.fullmatch(r"-?\d+", answer):
        found["one more digit"] = f"{answer}7"
    return found


def entries_of(name: str, count: int, seed: int) -> list[Entry]:
    """A generator's first entries with its default options; as many as it can make."""
    import reasoning_gym

    made, found = reasoning_gym.create_dataset(name, size=count, seed=seed), []
    for index in range(count):
        try:
            found.append(made[index])
        except REFUSALS:
            continue
    return found


def goes_by_options(name: str) -> bool:
    """Whether a scorer's code, or what it calls of its own class, reads the options."""
    from reasoning_gym.factory import DATASETS

    kind, seen, waiting = DATASETS[name][0], set(), ["score_answer"]
    while waiting:
        method = waiting.pop()
        if method in seen or not callable(getattr(kind, method, None)):
            continue
        seen.add(method)
        code = inspect.getsource(getattr(kind, method))
        if "self.config" in code:
            return True
        waiting += re.findall(r"(?:self|cls)\.(\w+)\(", code)
    return False


def facts_of(name: str, count: int, process: GradingProcess) -> Facts:
    """Probe one generator."""
    entries = entries_of(name, count, 0)

    def score(entry: Entry, answer: str) -> float:
        try:
            return process.grade(answer, str(entry["answer"]), "generator", saved_entry(entry)).score
        except ScorerError:
            return 0.0

    answered = [entry for entry in entries if isinstance(entry["answer"], str)]
    own = [score(entry, entry["answer"]) for entry in answered]
    wrong: dict[str, list[float]] = {}
    for place, entry in enumerate(answered):
        # The next entry with another answer, so that tasks of few answers are tried too.
        ring = [*answered[place + 1 :], *answered[:place]]
        other = next((one for one in ring if one["answer"] != entry["answer"]), entry)
        for kind, answer in wrong_answers(entry, other).items():
            wrong.setdefault(kind, []).append(score(entry, answer))
    asked = {entry["question"] for entry in entries}
    again = [entry["question"] for entry in entries_of(name, count, 1)]
    return Facts(
        entries=len(entries),
        own=part(sum(one == 1 for one in own), len(own)),
        none=part(len(entries) - len(answered), len(entries)),
        wrong={kind: part(sum(one >= 1 for one in scores), len(scores)) for kind, scores in wrong.items()},
        partial={kind: part(sum(scores), len(scores)) for kind, scores in wrong.items()},
        same=part(sum(question in asked for question in again), len(again)),
        options=goes_by_options(name),
    )


def part(number: float, of: int) -> float:
    """A share, to the per mille."""
    return round(number / of, 3) if of else 0.0


def page(version: str, found: dict[str, Facts]) -> str:
    """docs/graders.md."""
    accepts = {name: one for name, one in found.items() if max(one.wrong.values(), default=0) >= TOLD_SHARE}
    lines = [
        "# Graders of generated rows",
        "",
        f"This page shows what the scorers of reasoning-gym {version}'s {len(found)} generators make of answers whose "
        f"grade is known, "
        f"asked through mixplan's grader on up to {max(one.entries for one in found.values())} entries of each with "
        "its default options (seed 0). Written by `bin/graders`; `mixplan check` warns from the same figures.",
        "",
        f"- {sum(one.own == 1 for one in found.values())} accept every own answer; "
        f"{sum(one.own < 1 for one in found.values())} do not.",
        f"- {len(accepts)} accept a wrong answer in at least {TOLD_SHARE:.0%} of entries.",
        f"- {sum(one.same >= SAME_QUESTIONS for one in found.values())} give at least {SAME_QUESTIONS:.0%} of the same "
        "questions under the next seed: entry i of seed s is often entry i - 1 of seed s + 1.",
        f"- {sum(one.options for one in found.values())} score by the options that entries were made with; mixplan "
        "keeps these with each entry.",
        f"- {sum(one.none > 0 for one in found.values())} make entries without an answer.",
        "",
        "Own: share of own answers accepted. Wrong accepted: the kind of wrong answer that most entries accept, with "
        "its share. Wrong rewarded: the kind with the highest mean score, where that is above 0.05. Same: share of the "
        "questions that the next seed gives too.",
        "",
        "| generator | own | wrong accepted | wrong rewarded | same | by options | no answer |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in found.items():
        kind, most = max(one.wrong.items(), key=lambda item: item[1], default=("", 0.0))
        rewarded, mean = max(one.partial.items(), key=lambda item: item[1], default=("", 0.0))
        cells = [
            name,
            f"{one.own:.0%}",
            f"{kind} {most:.0%}" if most else "",
            f"{rewarded} {mean:.2f}" if mean > TOLD_SHARE else "",
            f"{one.same:.0%}" if one.same else "",
            "yes" if one.options else "",
            f"{one.none:.0%}" if one.none else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Probe every generator and write both files."""
    from reasoning_gym.factory import DATASETS

    count = int(sys.argv[1]) if len(sys.argv) > 1 else ENTRIES
    version, found = importlib.metadata.version("reasoning-gym"), {}
    process = GradingProcess(seconds=SECONDS)
    for number, name in enumerate(sorted(DATASETS), 1):
        sys.stderr.write(f"{number} of {len(DATASETS)}: {name}\n")
        try:
            found[name] = facts_of(name, count, process)
        except REFUSALS as error:
            sys.stderr.write(f"  makes no entries: {error}\n")
    process.close()
    value = {"reasoning_gym": version, "generators": {name: vars(one) for name, one in found.items()}}
    DATA.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(version, found), encoding="utf-8")


if __name__ == "__main__":
    main()
