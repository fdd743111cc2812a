"""Readings for a study's forecasts shared between processes, and what is written down of them."""

import json

from as_saved import typed
from small_study import DOMAINS, bench, lay

from mixplan.study.files.judgement import Cost
from mixplan.study.forecasts.formulas import Readings
from mixplan.study.reading import forecasts


def test_a_further_process_reads_from_the_other_end_and_no_more_than_is_missing(
    tmp_path, tiny_model, tiny_sae, monkeypatch
):
    ours = bench(lay(tmp_path, tiny_model, tiny_sae), tmp_path / "run")
    read = []
    monkeypatch.setattr(forecasts, "domain_reading", lambda _, name: read.append(name))
    forecasts.read_ahead(ours, lambda: len(read) == 2)
    assert read == list(DOMAINS)[:-3:-1]
    forecasts.read_ahead(ours, lambda: True)
    assert len(read) == 2


def test_forecasts_are_written_under_the_study_s_hash_with_what_they_cost(tmp_path, tiny_model, tiny_sae):
    ours = bench(lay(tmp_path, tiny_model, tiny_sae), tmp_path / "run")
    made = {"sums": {"fox": {"sts_icl": 1.5}}}

    def written(cost=None):
        forecasts.write_forecasts(ours, Readings({}, {}, made, cost))
        return json.loads((tmp_path / "run" / "forecasts.json").read_bytes())

    alone = {"version": 1, "study": ours.study.hash, "forecasts": made}
    assert written() == alone
    cost = {"pilots": {"sums": {"seed": 0, "steps": 1, "seconds": 2.5}}, "rollouts": {}}
    assert written(typed(Cost, cost)) == alone | {"cost": cost}
