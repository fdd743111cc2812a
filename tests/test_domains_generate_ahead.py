"""Generators' entries are made in another process while other rows are read, and are the same."""

import pytest

from mixplan.domains.generate_ahead import Beforehand
from mixplan.domains.generator import Generator
from mixplan.recipe import DataSpec

SPECS = [DataSpec(generator="chain_sum", limit=20), DataSpec(generator="word_sorting", limit=20)]


@pytest.fixture(autouse=True)
def two_processors(monkeypatch, own_cache):
    monkeypatch.setattr("os.cpu_count", lambda: 2)


def test_entries_are_those_that_are_made_here(monkeypatch, tmp_path):
    with Beforehand((spec, 3) for spec in SPECS) as made:
        assert made.process is not None
    found = [list(Generator(spec, 3).rows()) for spec in SPECS if Generator(spec, 3).kept.is_file()]
    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "empty"))
    assert found == [list(Generator(spec, 3).rows()) for spec in SPECS]
    with Beforehand((spec, 3) for spec in SPECS) as again:
        assert again.process is None  # all are kept


def test_each_can_be_waited_for_and_what_is_never_made_is_not():
    unknown = DataSpec(generator="no_such_generator", limit=20)
    with Beforehand((spec, 3) for spec in (unknown, *SPECS)) as made:
        for spec in SPECS:
            made.wait_for(spec, 3)
            assert Generator(spec, 3).kept.is_file()
        made.wait_for(DataSpec(file="rows.jsonl"), 3)
        made.wait_for(unknown, 3)
        assert made.process.poll() is not None


def test_what_goes_wrong_there_is_left_to_who_reads_it():
    with Beforehand((DataSpec(generator=name, limit=20), 3) for name in ("no_such_generator", "chain_sum")):
        pass
    assert Generator(SPECS[0], 3).kept.is_file()


def test_an_error_beside_it_ends_the_process():
    with pytest.raises(KeyboardInterrupt), Beforehand((spec, 3) for spec in SPECS) as made:
        raise KeyboardInterrupt
    assert made.process.poll() is not None
    assert not any(Generator(spec, 3).kept.is_file() for spec in SPECS)


def test_one_generator_or_one_processor_needs_no_other_process(monkeypatch):
    assert Beforehand([(SPECS[0], 3)]).process is None
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    assert Beforehand((spec, 3) for spec in SPECS).process is None
