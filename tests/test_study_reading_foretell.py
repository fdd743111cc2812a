"""Readings for a study's forecasts shared between processes, and what is written down of them."""

import json

from small_study import DOMAINS, bench, lay

from mixplan.study.reading import foretell


def test_a_further_process_reads_from_the_other_end_and_no_more_than_is_missing(
    tmp_path, tiny_model, tiny_sae, monkeypatch
):
    ours = bench(lay(tmp_path, tiny_model, tiny_sae), tmp_path / "run")
    read = []
    monkeypatch.setattr(foretell, "domain_reading", lambda _, name: read.append(name))
    foretell.read_ahead(ours, lambda: len(read) == 2)
    assert read == list(DOMAINS)[:-3:-1]
    foretell.read_ahead(ours, lambda: True)
    assert len(read) == 2


def test_forecasts_are_written_under_the_study_s_hash_with_what_they_cost(tmp_path, tiny_model, tiny_sae):
    ours = bench(lay(tmp_path, tiny_model, tiny_sae), tmp_path / "run")
    made = {"sums": {"fox": {"sts_icl": 1.5}}}

    def written(**more):
        foretell.write_forecasts(ours, {"targets": None, "domains": None, "forecasts": made, **more})
        return json.loads((tmp_path / "run" / "forecasts.json").read_bytes())

    assert written() == {"study": ours.study.hash, "forecasts": made}
    assert written(cost={"pilots": {}}) == {"study": ours.study.hash, "forecasts": made, "cost": {"pilots": {}}}
