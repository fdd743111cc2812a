"""pilot.json and the pilots of studies, written and read back."""

import pytest
from pilot_world import PILOT
from pydantic import ValidationError

from mixplan.errors import RunError
from mixplan.saved.pilot import Pilot, PilotDomain, StudyPilots, read_pilot, write_pilot

MADE = Pilot(
    key="k",
    training="t",
    chosen="recipe",
    job=PILOT,
    model="m",
    dtype="float32",
    seconds={"training": 1.5, "measuring": 2.0},
    domains={"law": PilotDomain(change=0.25, error=0.125, rows=4)},
)


def test_a_pilot_is_read_back_as_it_was_written(tmp_path):
    write_pilot(MADE, tmp_path)
    assert read_pilot(tmp_path) == MADE


def test_no_file_is_no_pilot(tmp_path):
    assert read_pilot(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 2}', '{"version": 1}'])
def test_a_damaged_file_is_refused_by_name(tmp_path, text):
    (tmp_path / "pilot.json").write_text(text)
    with pytest.raises(RunError, match=r"pilot\.json cannot be read"):
        read_pilot(tmp_path)


def test_numbers_that_are_none_are_refused():
    with pytest.raises(ValidationError):
        PilotDomain(change=float("nan"), error=0.1, rows=3)
    with pytest.raises(ValidationError):
        PilotDomain(change=0.1, error=-0.1, rows=3)
    with pytest.raises(ValidationError):
        StudyPilots.model_validate_json('{"version": 1, "title": "t", "targets": {"a": {}}}')
