"""A finished study looked into further: three files beside its results, and nothing unless its file asks."""

import json
from collections import Counter

import pytest
from ablated_table import table_of
from evaluated import loaded
from small_study import bench, lay

from mixplan.study.ablations.ablate import ablate
from mixplan.study.ablations.own_features import judge_labels
from mixplan.study.ablations.run import write_ablations
from mixplan.study.ablations.zeroing import judge_zeroing
from mixplan.study.forecasts.formulas import DomainReading, Readings, TargetReading
from mixplan.study.jobs import cells_of, read_drift, write_drift


@pytest.fixture
def build(tmp_path, tiny_model, tiny_sae, build_model):
    """What `write_ablations` is given, for a study of two seeds whose models were never trained."""

    def built(**changes):
        ours = bench(lay(tmp_path, tiny_model, tiny_sae, seeds=[3, 5], **changes), tmp_path / "run")
        cells = cells_of(ours.study, ours.run)
        for number, cell in enumerate(cells):
            build_model("llama", cell.folder / "model", seed=number + 1)
            write_drift(ours, ours.taught(cell.target), loaded(cell.folder / "model"), cell)
        names = tuple(ours.study.spec.targets)

        def own(domain, tokens):
            return ours.profile(ours.reading(domain, domain, tokens=tokens).units)

        targets = {name: TargetReading(*[own(ours.taught(name).target, 90)] * 3, Counter()) for name in names}
        behind = {d: {t: targets[t].own for t in names if d in ours.taught(t).domains} for d in ours.domains}
        domains = {
            name: DomainReading(own(domain, 60), behind[name], *[{}] * 5, Counter(), 3, 0.5)
            for name, domain in ours.domains.items()
        }
        table = table_of(names, ours.study.domains, (3, 5), [("sums", "sum")])
        return ours, cells, table, Readings(targets, domains, {})

    return built


def test_three_files_beside_the_results(build):
    ours, cells, table, readings = build(ablations={"features": [5], "demonstrations": [1], "tokens": [0.5]})
    folder = ours.run / "so-far"
    write_ablations(ours, cells, table, readings, folder)
    found = {path.stem: json.loads(path.read_bytes()) for path in folder.iterdir()}
    assert set(found) == {"labelled", "ablations", "zeroing"}
    assert {(one.pop("version"), one.pop("study")) for one in found.values()} == {(1, ours.study.hash)}
    asked = found["ablations"].pop("asked")
    assert asked == {"features": [5], "demonstrations": [1], "tokens": [0.5], "saes": {}, "trained": {}}
    targets, domains = readings.targets, readings.domains
    moved = {(cell.target, cell.seed): read_drift(cell) for cell in cells}
    expected = {
        "labelled": {"seeds": [3, 5]} | judge_labels(targets, domains, moved, seed=3).values(),
        "ablations": [*ablate(ours, cells, table, targets, domains)][-1].values(),
        "zeroing": judge_zeroing(ours, cells[:2], targets).values(),
    }
    assert found == json.loads(json.dumps(expected))
    assert list(found["zeroing"]["cells"]) == ["sums-3", "doctors-3"]


def test_nothing_unless_the_study_asks(build):
    ours, cells, table, readings = build()
    before = sorted(path.name for path in ours.run.iterdir())
    write_ablations(ours, cells, table, readings, ours.run)
    assert sorted(path.name for path in ours.run.iterdir()) == before
