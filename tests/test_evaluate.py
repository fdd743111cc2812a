"""`evaluate` as a whole on a tiny model: headlines, what is measured, what is kept, and every message."""

import dataclasses
import json

import pytest
from evaluated import Told, asked_rows, choice_rows, domain_of, loaded

from mixplan.domains import Row
from mixplan.errors import DataError
from mixplan.evaluate import changes, evaluate, headline, measures_of, read_evaluation, write_evaluation
from mixplan.recipe import EvaluateSpec
from mixplan.saved.evaluation import EvaluatedModel

SPEC = EvaluateSpec(answer_tokens=4, behaviour_tokens=3, resamples=100)


@pytest.fixture
def domains():
    free = domain_of("free", asked_rows(2), format="prompt_completion")
    return {"pick": domain_of("pick", choice_rows()), "free": free}


@pytest.fixture
def target():
    return domain_of("target", asked_rows())


def run(model, target, domains, tmp_path, *, spec=SPEC, **given):
    told = Told()
    return evaluate(model, target, domains, spec=spec, folder=tmp_path, watcher=told, **given), told


def test_each_domain_has_its_measures(tiny_model, target, domains, tmp_path):
    model = loaded(tiny_model)
    found, told = run(model, target, domains, tmp_path)
    assert found.headlines == {"target": "exact", "pick": "choice", "free": "likelihood"}
    assert {name: list(measures) for name, measures in found.domains.items()} == {
        "target": ["exact", "behaviour"], "pick": ["choice", "behaviour"], "free": ["likelihood", "behaviour"]
    }  # fmt: skip
    read = {"name": str(tiny_model), "hash": model.weights, "dtype": "float32", "device": "cpu"}
    assert found.model == EvaluatedModel(**read)
    assert told.stages == [
        ("untrained model's answers, pick, free", 5, "rows"),
        ("untrained model, target (1 of 3): exact", 4, "rows"),
        ("untrained model, target (1 of 3): behaviour", 4, "rows"),
        ("untrained model, pick (2 of 3): choice, behaviour", 3, "rows"),
        ("untrained model, free (3 of 3): likelihood, behaviour", 2, "rows"),
    ]
    assert told.done == 2 * 4 + 2 * 3 + 2 * 2
    write_evaluation(found, tmp_path / "before.json")
    assert read_evaluation(tmp_path / "before.json") == found


def test_a_second_evaluation_stands_and_gives_the_same(tiny_model, target, domains, tmp_path):
    model = loaded(tiny_model)
    first, _ = run(model, target, domains, tmp_path)
    again, told = run(model, target, domains, tmp_path)
    assert again == first
    assert (told.stages, told.said) == ([], ["6 of 6 measures are reused from an earlier evaluation"])
    fewer, told = run(model, target, domains, tmp_path, spec=SPEC.model_copy(update={"rows": 2}))
    assert {len(m.rows) for measures in fewer.domains.values() for m in measures.values()} == {2}
    assert fewer.domains["pick"]["choice"].values["correct"] == first.domains["pick"]["choice"].values["correct"][:2]
    # `free` has two rows, and the target's first two are the same ones.
    assert told.said == ["3 of 6 measures are reused from an earlier evaluation"]


def test_what_was_measured_before_a_kill_is_not_measured_again(tiny_model, target, domains, tmp_path):
    class Killed(Told):
        def stage(self, name, total, unit):
            if name == "untrained model, pick (2 of 3): choice, behaviour":
                raise KeyboardInterrupt
            super().stage(name, total, unit)

    model = loaded(tiny_model)
    with pytest.raises(KeyboardInterrupt):
        evaluate(model, target, domains, spec=SPEC, folder=tmp_path, watcher=Killed())
    _, told = run(model, target, domains, tmp_path)
    assert [name for name, _, _ in told.stages] == [
        "untrained model's answers, pick, free",
        "untrained model, pick (2 of 3): choice, behaviour",
        "untrained model, free (3 of 3): likelihood, behaviour",
    ]


def test_measures_made_one_by_one_stand_where_those_made_together_do(tiny_model, domains, tmp_path):
    model, law = loaded(tiny_model), domain_of("law", ())
    alone = {
        measure: run(model, law, domains, tmp_path, spec=SPEC.model_copy(update={
            "also": [], "measures": dict.fromkeys(domains, measure)}))[0]
        for measure in ("likelihood", "behaviour")
    }  # fmt: skip
    both = SPEC.model_copy(update={"also": ["likelihood", "behaviour"]})
    together, told = run(model, law, domains, tmp_path, spec=both)
    assert [name for name, *_ in told.stages] == ["untrained model, pick (2 of 3): choice"]
    for name in ("pick", "free"):
        for measure, found in alone.items():
            assert together.domains[name][measure] == found.domains[name][measure]


def test_a_damaged_result_is_set_aside_and_measured_again(tiny_model, target, domains, tmp_path, own_cache):
    model = loaded(tiny_model)
    first, _ = run(model, target, domains, tmp_path)
    kept = list((own_cache / "evaluation").rglob("*.json"))
    for path in kept:
        path.write_bytes(path.read_bytes()[:-7] + b"garbage")
    again, told = run(model, target, domains, tmp_path)
    assert again == first
    assert len(told.stages) == 5
    assert all(path.with_name(path.name + ".aside").exists() for path in kept)


def test_a_trained_model_is_compared_with_the_one_it_came_from(tiny_model, build_model, target, domains, tmp_path):
    untrained = loaded(tiny_model)
    trained = loaded(build_model("llama", tmp_path / "trained", seed=7))
    before, _ = run(untrained, target, domains, tmp_path)
    after, _ = run(trained, target, domains, tmp_path, untrained=untrained)
    found = changes(before, after, resamples=100, seed=0)
    assert {name: list(measures) for name, measures in found.items()} == {
        name: list(measures) for name, measures in before.domains.items()
    }
    moved = found["pick"]["behaviour"]["kl"]
    assert 0 <= moved.before < 1e-6  # what two readings of the untrained model differ by
    assert moved.after > 0
    assert moved.low > 0
    same = changes(
        before, run(loaded(tiny_model), target, domains, tmp_path, untrained=untrained)[0], resamples=100, seed=0
    )
    for measures in same.values():
        for quantities in measures.values():
            for change in quantities.values():
                assert (change.changed, change.direction) == (False, "none")
                assert abs(change.change) <= 1e-6


@pytest.mark.parametrize(
    ("shape", "stated", "resolved", "wanted"),
    [("question_answer", "auto", "exact", "exact"), ("question_answer", "none", "none", "likelihood"),
     ("messages", "auto", "exact", "likelihood"), ("messages", "math", "math", "exact"),
     ("prompt_completion", "number", "number", "exact"), ("choice", "auto", "choice", "choice")],
)  # fmt: skip
def test_headlines_by_format_and_grader(shape, stated, resolved, wanted):
    domain = domain_of("law", (), grader=resolved)
    domain = dataclasses.replace(domain, spec=domain.spec.model_copy(update={"format": shape, "grader": stated}))
    assert headline("law", domain, EvaluateSpec()) == wanted
    assert headline("law", domain, EvaluateSpec(measures={"law": "behaviour"})) == "behaviour"


def test_other_measures_only_where_they_fit():
    spec = EvaluateSpec(also=["choice", "exact", "likelihood", "behaviour", "lm_eval"], tasks={"pick": "arc_easy"})
    assert measures_of("pick", domain_of("pick", choice_rows()), spec) == [
        "choice",
        "exact",
        "likelihood",
        "behaviour",
        "lm_eval",
    ]
    assert measures_of("law", domain_of("law", asked_rows(), grader="none"), spec) == ["likelihood", "behaviour"]
    assert measures_of("law", domain_of("law", asked_rows()), spec) == ["exact", "likelihood", "behaviour"]


def test_a_domain_without_evaluation_rows_is_passed_over(tiny_model, target, tmp_path):
    found, told = run(loaded(tiny_model), target, {"law": domain_of("law", ())}, tmp_path)
    assert list(found.domains) == ["target"]
    assert told.said == ["law has no evaluation rows and is not measured; set `split.evaluation`"]


def long_row(number, words):
    return Row(f"test:{number}", str(number), (("user", "lazy dog " * words),), "yes")


def test_rows_longer_than_the_window_are_told_and_refused_when_there_is_no_other(tiny_model, target, tmp_path):
    model = loaded(tiny_model)
    some = domain_of("law", (long_row(0, 1000), long_row(1, 1)))
    found, told = run(model, target, {"law": some}, tmp_path)
    assert found.domains["law"]["exact"].rows == ("test:1",)
    assert "law: 1 of 2 rows are left out of `exact`" in told.said
    with pytest.raises(DataError) as caught:
        run(model, target, {"law": domain_of("law", (long_row(0, 1000),))}, tmp_path)
    assert str(caught.value) == (
        "law: none of its 1 evaluation rows fits the model's window of 512 tokens with the answer that `exact` needs. "
        "Lower `evaluate.answer_tokens`, or shorten the rows with a template."
    )
    likely = SPEC.model_copy(update={"measures": {"law": "likelihood"}})
    with pytest.raises(DataError) as caught:
        run(model, target, {"law": domain_of("law", (long_row(0, 1000),))}, tmp_path, spec=likely)
    assert str(caught.value) == (
        "law: none of its 1 evaluation rows fits the model's window of 512 tokens with the answer that `likelihood` "
        "needs. Shorten the rows with a template."
    )


def test_another_chat_template_is_another_model(tiny_model, target, tmp_path):
    model = loaded(tiny_model)
    run(model, target, {}, tmp_path)
    model.tokenizer.chat_template = model.tokenizer.chat_template.replace("eos_token", "bos_token")
    _, told = run(model, target, {}, tmp_path)
    assert len(told.stages) == 2


def test_reading_results_loads_no_model_library():
    import subprocess
    import sys

    code = "import sys, mixplan.evaluate; print([name for name in ('torch', 'transformers') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.replace("'", '"')) == []


def test_a_baseline_in_another_type_stands_and_is_said_to(tiny_model, target, domains, tmp_path):
    first, _ = run(loaded(tiny_model), target, domains, tmp_path)
    short = loaded(tiny_model, dtype="bfloat16")
    found, told = run(short, target, domains, tmp_path)
    assert told.said == [
        "3 of 6 measures are reused from an earlier evaluation",
        "3 measures of the untrained model were measured in float32 and are reused; this run computes bfloat16",
    ]
    assert (found.model.dtype, found.model.reused) == ("bfloat16", {"float32": 3})
    for name in found.domains:
        assert found.domains[name][found.headlines[name]] == first.domains[name][found.headlines[name]]
    # A trained model is measured in its own type, whatever else is kept of it.
    trained = dataclasses.replace(short, name="trained")
    after, told = run(trained, target, domains, tmp_path, untrained=short)
    assert "reused" not in after.model
    assert [name for name, _, _ in told.stages if "exact" in name] == ["trained model, target (1 of 3): exact"]
