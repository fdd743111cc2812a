"""Work is shared by tokens: no process waits long, a large unit is cut, and the bytes are those of one process."""

import threading
from dataclasses import dataclass, replace

import numpy as np
import pytest
from dense_features import make_rows, open_pair
from hypothesis import given, settings
from hypothesis import strategies as st

from mixplan.errors import MixplanError
from mixplan.features import forward
from mixplan.features.forward import longest_pack, packs_of, reading_way
from mixplan.features.queries import plan_reading
from mixplan.features.statistics import to_bytes
from mixplan.reading import units as unit_reading
from mixplan.reading.progress import Silent
from mixplan.reading.shares import PIECES, cost_of, divide, join, read_ahead, summed_job
from mixplan.reading.units import Reader
from mixplan.reading.workers import Workers, deal

RUNNING = threading.Lock()


def together(work, count: int) -> None:
    """Run `work(rank)` in so many threads, one at a time."""

    def run(rank: int) -> None:
        with RUNNING:
            work(rank)

    threads = [threading.Thread(target=run, args=[rank]) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@dataclass(frozen=True)
class Together(Workers):
    """One of several workers that are threads of this process, of which one runs at a time until all wait."""

    barrier: threading.Barrier | None = None
    heard: list | None = None

    def wait(self) -> None:
        RUNNING.release()
        try:
            self.barrier.wait(timeout=60)
        finally:
            RUNNING.acquire()

    def agreed(self, make) -> list[int]:
        if self.rank == 0:
            self.heard.append(make())
        self.wait()
        return self.heard[-1]


@pytest.fixture
def reader(tiny_model, tmp_path, tiny_sae, monkeypatch):
    model, sae = open_pair(tiny_model, tmp_path / "sae", tiny_sae, "jumprelu")
    reading_way(model, sae.depth)
    monkeypatch.setitem(forward.PACK_TOKENS, "cpu", 64)
    return Reader(model, sae, tmp_path / "one", Silent(), Workers(0, 1))


def readings(model):
    """A target, a large domain of one draw, and two small ones."""
    sizes = {"target": (200, 5), "large": (900, 1), "small": (60, 2), "other": (60, 3)}
    rows = {name: make_rows(70, number) for number, name in enumerate(sizes)}
    return {
        name: plan_reading(model, rows[name], make_rows(6, 9), tokens=tokens, shots=1, draws=draws, seed=5).units
        for name, (tokens, draws) in sizes.items()
    }


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.safetensors")}


def at_once(reader, folder, count, units, target, *, folders=None):
    """Read ahead with so many threads; gives the query tokens that each read."""
    barrier, heard, failed = threading.Barrier(count), [], []
    readers = [
        replace(
            reader, folder=(folders or [folder] * count)[rank], watcher=Silent(),
            workers=Together(rank, count, barrier, heard),
        )
        for rank in range(count)
    ]  # fmt: skip

    def work(rank):
        one = readers[rank]
        try:
            read_ahead(one, units, [summed_job(one, unit, replicas=3) for unit in target])
        except MixplanError as error:
            failed.append(error)
            barrier.abort()
        except threading.BrokenBarrierError:
            pass

    together(work, count)
    if failed:
        raise failed[0]
    return [one.watcher.advanced for one in readers]


@settings(max_examples=200, deadline=None)
@given(costs=st.lists(st.integers(0, 1000), max_size=60), processes=st.integers(1, 9))
def test_no_process_gets_more_than_the_mean_and_once_the_largest(costs, processes):
    ranks = deal(costs, processes)
    loads = [sum(cost for cost, rank in zip(costs, ranks, strict=True) if rank == one) for one in range(processes)]
    assert sum(loads) == sum(costs)
    assert max(loads) <= sum(costs) / processes + max([0, *costs]) * (1 - 1 / processes) + 1e-9


def test_the_largest_go_first_and_ties_to_the_lower_rank():
    assert deal([1, 1, 6, 2, 2], 2) == [1, 1, 0, 1, 1]
    assert deal([3, 3, 3], 2) == [0, 1, 0]


@pytest.mark.parametrize("count", [2, 4])
def test_what_is_kept_has_the_bytes_of_one_process(reader, tmp_path, count):
    parts = readings(reader.model)
    units = [unit for name, own in parts.items() if name != "target" for unit in own]
    for unit in units:
        reader.keep(unit)
    reader.read(parts["target"], replicas=3)
    read = at_once(reader, tmp_path / "several", count, units, parts["target"])
    assert files(tmp_path / "several") == files(tmp_path / "one")
    # Each did its part: what passes through the model differs by at most about one piece and one pack.
    assert min(read) > 0
    assert max(read) <= sum(read) / count * (1 + 2 * count / (count * PIECES)) + 64


def test_a_large_unit_is_cut_between_packs(reader):
    (unit,) = readings(reader.model)["large"]
    limit = longest_pack(reader.model)
    pieces = divide(unit, reader.model, most=cost_of(unit) // 6).pieces
    assert 2 <= len(pieces) <= 6
    assert sum((piece.queries for piece in pieces), ()) == unit.queries
    whole = [unit.queries[part.start : part.stop] for part in packs_of(unit, limit)]
    assert [piece.queries[part.start : part.stop] for piece in pieces for part in packs_of(piece, limit)] == whole
    assert {(piece.alone_prefix, piece.context_prefix) for piece in pieces} == {
        (unit.alone_prefix, unit.context_prefix)
    }
    assert divide(unit, reader.model, most=cost_of(unit)).pieces == (unit,)


def test_a_model_whose_positions_turn_with_the_longest_text_reads_a_unit_whole(reader, monkeypatch):
    from mixplan.reading import shares

    (unit,) = readings(reader.model)["large"]
    monkeypatch.setattr(shares, "stretches_at", lambda model: 40)
    assert divide(unit, reader.model, most=1).pieces == (unit,)


def test_what_was_kept_before_is_not_dealt_out_again(reader, tmp_path, monkeypatch):
    parts = readings(reader.model)
    units = [unit for name, own in parts.items() if name != "target" for unit in own]
    at_once(reader, tmp_path / "several", 2, units, parts["target"])
    whole = files(tmp_path / "several")
    assert at_once(reader, tmp_path / "several", 2, units, parts["target"]) == [0, 0]
    gone = replace(reader, folder=tmp_path / "several").sparse_place(parts["large"][0])
    gone.unlink()
    read = at_once(reader, tmp_path / "several", 2, units, parts["target"])
    assert files(tmp_path / "several") == whole
    # All of the large one, in about equal halves.
    assert sum(read) == parts["large"][0].tokens
    assert max(read) - min(read) <= cost_of(parts["large"][0]) / (2 * PIECES) + 64


def test_processes_that_share_no_folder_are_refused(reader, tmp_path):
    units = readings(reader.model)["large"]
    with pytest.raises(
        MixplanError, match=r"did not arrive\. All processes must share one cache folder: set MIXPLAN_CACHE"
    ):
        at_once(reader, None, 2, units, (), folders=[tmp_path / "a", tmp_path / "b"])


def test_an_sae_too_dense_to_be_kept_is_left_for_later(reader, tmp_path, monkeypatch):
    from mixplan.features import measure_sparse

    monkeypatch.setattr(measure_sparse, "MOST_ACTIVE", 1)
    parts = readings(reader.model)
    at_once(reader, tmp_path / "several", 2, parts["large"], parts["target"])
    found = files(tmp_path / "several")
    reader.read(parts["target"], replicas=3)
    assert found == files(tmp_path / "one")


def test_an_sae_too_dense_in_one_piece_alone_leaves_the_unit_for_later(reader, tmp_path, monkeypatch):
    (unit,) = readings(reader.model)["large"]
    real = unit_reading.measure_sparse

    def dense_at_its_end(model, sae, piece, **given):
        dense = piece.queries[-1] == unit.queries[-1] and piece.queries != unit.queries
        return None if dense else real(model, sae, piece, **given)

    monkeypatch.setattr(unit_reading, "measure_sparse", dense_at_its_end)
    at_once(reader, tmp_path / "several", 2, [unit], ())
    assert files(tmp_path / "several") == {}


def test_a_piece_that_another_run_has_put_together_is_not_missed(reader, tmp_path):
    (unit,) = readings(reader.model)["large"]
    one = replace(reader, folder=tmp_path / "several")
    division = divide(unit, reader.model, most=cost_of(unit) // 3)
    one.keep(unit)
    whole = files(tmp_path / "several")
    one.keep(division.pieces[0])
    join(one, division)
    assert files(tmp_path / "several") == whole


def test_shares_of_a_stage_go_by_tokens(reader, tmp_path):
    units = sum(readings(reader.model).values(), ())
    alone = reader.read(units)
    barrier, found = threading.Barrier(3), {}

    def work(rank):
        one = replace(reader, folder=tmp_path / "several", watcher=Silent(), workers=Together(rank, 3, barrier, []))
        found[rank] = one.read(units), one.watcher.advanced

    together(work, 3)
    for rank in range(3):
        assert [to_bytes(part) for part in found[rank][0]] == [to_bytes(part) for part in alone]
    assert np.mean([advanced for _, advanced in found.values()]) == sum(unit.tokens for unit in units)
