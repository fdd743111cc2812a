"""What trainings of arms measured: kept by job, written as one file, taken over by another run folder."""

import json
from dataclasses import replace

import pytest

from mixplan.errors import RunError
from mixplan.saved.evaluation import EvaluatedModel, Evaluation, Measured
from mixplan.study.arms.measured import KnownTrainings, MeasuredUnder, take_over, write_trainings

STUDY = "5" * 64
MEASURED_AS = {"sums": "5" * 32, "poems": "6" * 32}
REGISTERED = MeasuredUnder(STUDY, 1, {"torch": "2"}, MEASURED_AS)
JOBS = ("a" * 64, "b" * 64)


def evaluation(kl: float) -> Evaluation:
    """Two rows of a domain, measured with a model from some folder."""
    measured = Measured("behaviour", ("fox-1", "fox-2"), {"kl": (kl, 0.1 + kl)}, {})
    model = {"name": "/home/someone/runs/model", "hash": "h", "dtype": "float32", "device": "cpu"}
    return Evaluation(EvaluatedModel(**model), {"fox": {"behaviour": measured}}, {"fox": "behaviour"})


def known(folder, study=STUDY, target="sums") -> KnownTrainings:
    """What is known of a target at three extra rows."""
    return KnownTrainings(folder, study, target, 3)


@pytest.fixture
def file(tmp_path):
    """Two trainings as they travel."""
    for job, arm, kl in zip(JOBS, ("plan", "none"), (0.123456789, 0.25), strict=True):
        known(tmp_path / "known").keep(job, arm, 0, evaluation(kl))
    assert write_trainings(tmp_path / "known", tmp_path / "trainings.jsonl", REGISTERED) == 2
    return tmp_path / "trainings.jsonl"


def test_what_was_kept_is_found_by_its_job_and_study(tmp_path):
    here = known(tmp_path)
    here.keep(JOBS[0], "plan", 0, evaluation(0.123456789))
    found = here.get(JOBS[0])
    assert found.domains == evaluation(0.123456789).domains
    assert found.headlines == {"fox": "behaviour"}
    assert here.get(JOBS[1]) is None
    assert known(tmp_path, study="6" * 64).get(JOBS[0]) is None
    (tmp_path / f"{JOBS[0]}.json").write_text('{"study": ')
    assert here.get(JOBS[0]) is None


def test_a_file_of_trainings_names_no_place_and_no_row_twice(file):
    head, *lines = map(json.loads, file.read_text().splitlines())
    assert head == {
        "version": 2,
        "study": STUDY,
        "processes": 1,
        "libraries": {"torch": "2"},
        "measured_as": MEASURED_AS,
        "rows": {"sums": {"fox": {"behaviour": ["fox-1", "fox-2"]}}},
    }
    # Without extra rows the budget is no other budget's.
    assert [(one["arm"], one["budget"], one["seed"], one["job"]) for one in lines] == [
        ("none", 0, 0, JOBS[1]),
        ("plan", 3, 0, JOBS[0]),
    ]
    assert lines[1]["values"] == {"fox": {"behaviour": {"kl": [0.123457, 0.223457]}}}
    assert "/home/someone" not in file.read_text()


def test_another_folder_takes_trainings_over(file, tmp_path):
    there = tmp_path / "there"
    known(there).keep(JOBS[1], "none", 0, evaluation(0.7))
    assert take_over(file, there, REGISTERED) == 1
    assert known(there).get(JOBS[0]).domains["fox"]["behaviour"].values == {"kl": (0.123457, 0.223457)}
    assert known(there).get(JOBS[1]).domains == evaluation(0.7).domains
    again = tmp_path / "again.jsonl"
    assert write_trainings(tmp_path / "known", again, REGISTERED) == 2
    assert again.read_bytes() == file.read_bytes()


def test_another_study_takes_what_was_measured_as_it_measures(file, tmp_path):
    known(tmp_path / "known", target="poems").keep("c" * 64, "plan", 0, evaluation(0.5))
    assert write_trainings(tmp_path / "known", file, REGISTERED) == 3
    other = replace(REGISTERED, study="6" * 64, measured_as=MEASURED_AS | {"poems": "7" * 32})
    assert take_over(file, tmp_path / "there", other) == 2
    there = known(tmp_path / "there", study="6" * 64)
    assert there.get(JOBS[1]).domains == evaluation(0.25).domains
    assert there.get("c" * 64) is None


def test_trainings_that_were_all_measured_otherwise_are_refused(file, tmp_path):
    with pytest.raises(RunError) as refused:
        take_over(file, tmp_path / "there", replace(REGISTERED, measured_as={"sums": "7" * 32}))
    assert str(refused.value) == (
        f"{file}: measured for the study registered as {STUDY[:16]} with another model, other domains or other "
        "measures, for every target of this one. Leave --measured out, or undo what was changed in the study's file or "
        "its recipe."
    )
    assert not (tmp_path / "there").exists()


def test_trainings_that_another_mixplan_wrote_are_refused(file, tmp_path):
    file.write_text(file.read_text().replace('"version":2', '"version":1'))
    with pytest.raises(RunError) as refused:
        take_over(file, tmp_path / "there", REGISTERED)
    assert str(refused.value) == (
        f"{file}: another mixplan wrote it. Have this one write it again, by `mixplan study judge` in its run folder."
    )


def test_trainings_with_another_number_of_processes_are_refused(file, tmp_path):
    with pytest.raises(RunError) as refused:
        take_over(file, tmp_path / "there", replace(REGISTERED, processes=2))
    assert str(refused.value) == (
        f"{file}: its jobs had --processes 1, which sets how many rows a step takes, and these have 2. "
        "Give --processes 1 with another run folder, or leave --measured out."
    )
    assert not (tmp_path / "there").exists()


NOT_ONE = "not a trainings.jsonl that mixplan wrote, or changed or damaged since:\n"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: "", f"line 1: {NOT_ONE}  not JSON: EOF while parsing a value at line 1 column 0\n"),
        (lambda text: text[:-40], f"line 3: {NOT_ONE}  not JSON: EOF while parsing "),
        (lambda text: text.replace("0.123457,", ""), "line 3: its numbers are not one for each row. "),
        (
            lambda text: text.replace(JOBS[0], "../" + JOBS[0][3:]),
            f"line 3: {NOT_ONE}  `job`: string should match pattern '^[0-9a-f]{{64}}$', found \"../aaa",
        ),
        (lambda text: text.replace('"rows"', '"row"'), f"line 1: {NOT_ONE}  `rows` is missing\n"),
    ],
    ids=["empty", "cut", "short", "elsewhere", "headless"],
)
def test_a_damaged_file_is_refused_by_line_and_field(file, tmp_path, damage, said):
    text = file.read_text()
    file.write_text(damage(text))
    assert file.read_text() != text
    with pytest.raises(RunError) as refused:
        take_over(file, tmp_path / "there", REGISTERED)
    assert str(refused.value).startswith(f"{file}, {said}")
    assert str(refused.value).endswith("Take the file from the run folder again.")
    assert not (tmp_path / "there").exists()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RunError) as refused:
        take_over(tmp_path / "no.jsonl", tmp_path / "there", REGISTERED)
    assert str(refused.value) == (
        f"--measured: there is no file {tmp_path / 'no.jsonl'}. `mixplan study run` leaves a trainings.jsonl in the "
        "run folder of a study of arms, and `mixplan study judge` in its so-far/."
    )


def test_nothing_known_makes_no_file(tmp_path):
    assert write_trainings(tmp_path / "known", tmp_path / "trainings.jsonl", REGISTERED) == 0
    assert not (tmp_path / "trainings.jsonl").exists()
