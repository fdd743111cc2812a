"""A task's result is kept under the files that decide it, wherever they lie."""

import dataclasses

from evaluated import choice_rows, domain_of

from mixplan.evaluate.measure import _Work
from mixplan.recipe import EvaluateSpec


def test_a_task_s_files_are_told_apart_wherever_they_lie(tmp_path, monkeypatch):
    """What a task's file includes or calls from another folder decides what is measured as much as the file does."""
    home = tmp_path / "home"
    (home / "tasks").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    files = {
        home / "tasks" / "law.yaml": "include: ../base.yaml\nprocess_results: !function ../answers.graded\n",
        home / "tasks" / "beside.py": "",
        home / "base.yaml": "include: [further/own.yaml]\ntask: law\n",
        home / "answers.py": "def graded(): ...\n",
        home / "further" / "own.yaml": "doc_to_text: '{{question}}'\n",
    }
    (home / "further").mkdir()
    for file, text in files.items():
        file.write_text(text)
    work = _Work(**dict.fromkeys(one.name for one in dataclasses.fields(_Work)))
    work = dataclasses.replace(work, folder=tmp_path, model_identity="m", untrained_identity="m",
                               spec=EvaluateSpec(tasks={"law": "~/tasks/law.yaml"}))  # fmt: skip
    law = domain_of("law", choice_rows())

    def key():
        return work.key("law", law, law.evaluation, "lm_eval")

    seen = [key(), key()]
    assert seen[0] == seen[1]
    for file in files:
        file.write_text(f"{file.read_text()}# another\n")
        seen.append(key())
    assert len(set(seen)) == 1 + len(files)
