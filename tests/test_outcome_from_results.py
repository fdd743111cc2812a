"""A run is judged by what another harness measured: changes against mathematics, and what is not known."""

import json
import random
import re

import numpy as np
import pytest
from harness_files import graded, item, planned, task, write
from scipy.stats import t as student
from typer.testing import CliRunner

import mixplan
from mixplan.cli import app
from mixplan.errors import MixplanError, RunError
from mixplan.outcome.external_model import hold_same
from mixplan.outcome.from_results import ResultsRequest, judge_results
from mixplan.saved import read_outcome, read_plan, write_outcome
from mixplan.saved.outcome import Elsewhere


@pytest.fixture
def run(tmp_path):
    return planned(tmp_path / "run")


@pytest.fixture
def names(run):
    return list(read_plan(run).domains)


def marks(seed, chance, count=40):
    draw = random.Random(seed)
    return "".join("1" if draw.random() < chance else "0" for _ in range(count))


def results(tmp_path, before, after):
    return [write(tmp_path / name, tasks, model=name) for name, tasks in (("base", before), ("org/tuned", after))]


def judged(run, before, after, *tasks, label=None):
    return judge_results(run, ResultsRequest(before, after, tasks, label))


def test_changes_and_intervals_are_those_of_paired_proportions(tmp_path, run, names):
    early, late = marks(0, 0.8, 200), marks(1, 0.3, 200)
    files = results(tmp_path, {names[0]: task(graded(early))}, {names[0]: task(graded(late))})
    found = judged(run, *files)
    assert found == run / "judged" / "tuned"
    change = read_outcome(found).domains[names[0]].change
    differences = np.array(list(late), float) - np.array(list(early), float)
    # Bonett and Price: one +1 and one -1 added.
    added = np.append(differences, (1.0, -1.0))
    half = student.ppf(0.975, 201) * added.std() / np.sqrt(202)
    assert change.items == 200
    assert change.change == pytest.approx(differences.mean())
    assert (change.low, change.high) == pytest.approx((added.mean() - half, added.mean() + half))
    assert change.direction == "loss"


@pytest.mark.parametrize(("better", "direction"), [(True, "gain"), (False, "loss"), (None, "moved")])
def test_the_harness_says_whether_more_is_better(tmp_path, run, names, better, direction):
    draw = random.Random(0)
    values = [draw.uniform(3, 5) for _ in range(30)]
    files = results(
        tmp_path,
        {names[0]: task([item(n, {"cost": v}) for n, v in enumerate(values)], better={"cost": better})},
        {names[0]: task([item(n, {"cost": v + draw.uniform(0.5, 1)}) for n, v in enumerate(values)],
                        better={"cost": better})},
    )  # fmt: skip
    measured = read_outcome(judged(run, *files)).domains[names[0]]
    assert (measured.headline, measured.quantity) == ("lm_eval", "cost")
    assert measured.change.direction == direction
    assert 0.5 < measured.change.low < measured.change.change < measured.change.high < 1


def test_answers_are_those_of_the_filter_that_stands(tmp_path, run):
    def both(text):
        strict = graded(text, "exact_match", filter="strict", answer="STRICT")
        return [*strict, *graded(text, "exact_match", filter="loose", answer=f"loose {text[:3]}")]

    files = results(tmp_path, {"sums": task(both(marks(0, 0.2)))}, {"sums": task(both(marks(1, 0.9)))})
    found = read_outcome(judged(run, *files, "target=sums:exact_match,loose"))
    shown = [text for one in found.target.examples for text in (one.before, one.after)]
    assert shown
    assert all(text.startswith("loose ") for text in shown)


def test_what_no_harness_can_know_is_said_and_what_it_knows_is_on_the_page(tmp_path, run, names):
    early, late = (graded(text, "exact_match", answer=f"I say {text[:3]}") for text in (marks(0, 0.2), marks(1, 0.9)))
    files = results(tmp_path, {"sums": task(early)}, {"sums": task(late)})
    called = CliRunner().invoke(
        app, ["eval", str(run), "--before", str(files[0]), "--after", str(files[1].parent), "--tasks", "target=sums"]
    )
    assert called.exit_code == 0, called.output
    text = " ".join(called.output.split())
    assert (
        "Not known: actual drift, how far behaviour moved, and what the trainer read. The measures are lm-eval" in text
    )
    assert (
        f"Nothing was measured of 4 of 4 domains ({', '.join(names)}): no task of the results stands for them." in text
    )
    assert "org/tuned was trained without mixplan and measured by lm-evaluation-harness 0.4.13" in text
    found = read_outcome(run / "judged" / "tuned")
    assert (found.drift, found.training, found.target.change.direction) == (None, None, "gain")
    assert [one.values() for one in found.elsewhere.harness.tasks] == [
        {"domain": "target", "task": "sums", "before": 40, "after": 40, "paired": 40, "other_content": 0,
         "other_prompt": 0}
    ]  # fmt: skip
    page = (run / "judged" / "tuned" / "report.html").read_text()
    for part in (f"--after {files[1].parent}", "--tasks target=sums", "How items were paired", "I say", "40 of 40"):
        assert part in page, part
    assert found.target.examples[0].row.startswith("sums/")
    assert found.target.examples[0].graded == ("wrong", "right")
    assert "written for this page" not in page


def test_results_under_several_labels_stand_beside_each_other(tmp_path, run, names):
    files = results(tmp_path, {names[0]: task(graded(marks(0, 0.5)))}, {names[0]: task(graded(marks(1, 0.5)))})
    judged(run, *files, label="first")
    found = mixplan.judge_results(run, *files, label="second")
    assert found.saved.elsewhere.label == "second"
    assert found.changes()[0]["domain"] == names[0]
    called = CliRunner().invoke(
        app, ["eval", str(run), "--before", str(files[0]), "--after", str(files[1]), "--label", "third"]
    )
    assert called.exit_code == 0, called.output
    page = (run / "judged" / "report.html").read_text()
    assert all(label in page for label in ("first", "second", "third"))


def test_a_label_is_one_model_s_measured_by_one_means(tmp_path, run, names):
    files = results(tmp_path, {names[0]: task(graded("0101"))}, {names[0]: task(graded("0101"))})
    folder = judged(run, *files, label="x")
    hold_same(folder, "org/tuned", harness=True)
    with pytest.raises(RunError, match=r"holds what lm-evaluation-harness 0.4.13 measured of 'org/tuned'"):
        hold_same(folder, "org/tuned", harness=False)
    with pytest.raises(RunError, match=r"holds what lm-evaluation-harness 0.4.13 measured of 'org/tuned'"):
        hold_same(folder, "other/tuned", harness=True)
    own = read_outcome(folder).model_copy(update={"elsewhere": Elsewhere(model="m", label="x")})
    write_outcome(folder, own)
    with pytest.raises(RunError, match=r"holds what mixplan measured of 'm'. Give another name with `--label NAME`"):
        judged(run, *files, label="x")


def test_tasks_stand_for_domains_by_the_recipe_by_group_and_as_asked(tmp_path, names):
    run = planned(tmp_path / "other", tasks={names[0]: "mmlu"})
    tasks = {name: task(graded("0101010101")) for name in ("mmlu_law", "mmlu_art", "sums", names[2])}
    groups = {"group_subtasks": {"mmlu": ["mmlu_humanities"], "mmlu_humanities": ["mmlu_law", "mmlu_art"]}}
    files = [write(tmp_path / name, tasks, model=name, **groups) for name in ("base", "tuned")]
    found = read_outcome(judged(run, *files, f"{names[1]}=sums", f"{names[1]}=mmlu_law"))
    stood = [(one.domain, one.task) for one in found.elsewhere.harness.tasks]
    assert stood == [
        (names[1], "sums"), (names[1], "mmlu_law"), (names[0], "mmlu_law"), (names[0], "mmlu_art"),
        (names[2], names[2]),
    ]  # fmt: skip
    assert found.domains[names[0]].change.items == 20


def test_what_cannot_be_mapped_is_refused_with_what_there_is(tmp_path, run, names):
    files = results(tmp_path, {"a": task(graded("01")), "b": task(graded("01"))}, {"a": task(graded("01"))})

    def refused(*tasks, label=None):
        with pytest.raises(RunError) as caught:
            judged(run, *files, *tasks, label=label)
        return str(caught.value)

    assert refused() == (
        "no task of the results is named as a part of the plan. The plan has target, "
        f"{', '.join(names)}; the results have a. Say which stand for which, such as `--tasks {names[-1]}=a`."
    )
    assert "the plan has no part 'nothing'; there are target, " in refused("nothing=a")
    assert "no task 'b' was measured before and after; there are a." in refused("target=b")
    assert "expected DOMAIN=TASK, such as `--tasks law=mmlu_law`" in refused("law")
    assert "the label '../up' cannot name a folder" in refused("target=a", label="../up")


def test_differences_of_the_whole_evaluation_are_told(tmp_path, run, names):
    one = {names[0]: task(graded("0101")), "unused": task(graded("01"))}
    before = write(tmp_path / "a", one, model="another/model")
    after = write(
        tmp_path / "b", one, model="another/model", lm_eval_version="0.4.9",
        config={"model_dtype": "torch.float32"},
    )  # fmt: skip
    told = "\n".join(read_outcome(judged(run, before, after)).warnings)
    assert "The results before are of 'another/model', and the plan is of 'base': its forecast holds only where" in told
    assert "Both results name the same model, 'another/model'." in told
    assert "Measured by lm-evaluation-harness 0.4.13 before and lm-evaluation-harness 0.4.9 after" in told
    assert "The untrained model was measured in bfloat16, the trained one in float32" in told
    assert "Tasks of the results that stand for no part of the plan: unused." in told


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--before", "x"], "--after: not given. Results are compared in pairs"),
        (["--tasks", "a=b"], "--before and --after: not given."),
        (["--before", "x", "--after", "y", "--model", "z"], "Give one of them."),
    ],
)
def test_half_of_the_options_is_refused(run, given, said):
    called = CliRunner().invoke(app, ["eval", str(run), *given])
    assert isinstance(called.exception, RunError)
    assert said in str(called.exception)


def test_thousands_of_items_take_seconds(tmp_path, run, names):
    files = results(
        tmp_path, {names[0]: task(graded(marks(0, 0.5, 5000)))}, {names[0]: task(graded(marks(1, 0.5, 5000)))}
    )
    assert read_outcome(judged(run, *files)).domains[names[0]].change.items == 5000
    saved = json.loads((run / "judged" / "tuned" / "evaluation" / "after.json").read_bytes())
    assert saved["domains"][names[0]]["measures"]["lm_eval"]["better"] == {"acc": 1}


def test_tolerances_judge_what_another_harness_measured(tmp_path, run, names):
    """Accuracy stands under the harness's own measure; what is lost of other units was not measured."""
    files = results(tmp_path, {names[0]: task(graded("1" * 200))}, {names[0]: task(graded("0" * 40 + "1" * 160))})
    held = f"tolerances={{{names[0]}: [5 pp, 0.1 nats], {names[1]}: 2 pp}}"
    folder = judge_results(run, ResultsRequest(*files), (held,))
    found = read_outcome(folder).tolerances
    held_by = {(one.domain, one.text): one for one in found.held}
    assert {key: one.verdict for key, one in held_by.items()} == {
        (names[0], "5 pp"): "fail",
        (names[0], "0.1 nats"): "undecided",
        (names[1], "2 pp"): "undecided",
    }
    assert held_by[names[0], "5 pp"].loss.value == pytest.approx(20.0)
    assert held_by[names[0], "0.1 nats"].reason == "`behaviour` was not measured."
    command = ["eval", str(run), "--before", str(files[0]), "--after", str(files[1]), "--set", held, "--gate"]
    assert CliRunner().invoke(app, command).exit_code == 3


def test_an_accuracy_at_chance_keeps_no_tolerance(tmp_path, run, names):
    """A quarter of 400 items of four options is what guessing gives: there is nothing that could be lost."""

    def asked(marks, options):
        found = graded(marks)
        for one in found:
            prompt = one["arguments"]["gen_args_0"]["arg_0"]
            one["arguments"] = {f"gen_args_{n}": {"arg_0": prompt, "arg_1": f" {n}"} for n in range(options)}
        return task(found, config={"output_type": "multiple_choice"})

    same, held = "1000" * 100, (f"tolerances={{{names[0]}: 10 pp}}",)
    said = {}
    for options in (4, 10):
        files = results(tmp_path, {names[0]: asked(same, options)}, {names[0]: asked(same, options)})
        request = ResultsRequest(*files, label=f"of{options}")
        found = read_outcome(judge_results(run, request, held))
        (one,) = found.tolerances.held
        said[options] = one.verdict, one.reason, found.domains[names[0]].floor and found.domains[names[0]].floor.chance
    why = "Accuracy cannot show a loss: before training 100 of 400 rows were right, and guessing gives 25.0 %."
    assert said == {4: ("undecided", why, 0.25), 10: ("pass", None, None)}


def test_a_task_of_a_group_that_is_missing_on_one_side_is_said_to_be_missing(tmp_path, run, names):
    early = {name: task(graded("0101")) for name in ("m_a", "m_b", "spare")}
    late = {name: task(graded("0101")) for name in ("m_a", "m_c")}
    before = write(tmp_path / "base", early, group_subtasks={"m": ["m_a", "m_b"]})
    after = write(tmp_path / "tuned", late, model="tuned", group_subtasks={"m": ["m_a", "m_c"]})
    warnings = read_outcome(judged(run, before, after, f"{names[0]}=m")).warnings
    assert (
        "m_b (not measured after), m_c (not measured before): asked for, and left out, since pairs need both."
        in warnings
    )
    assert "Tasks of the results that stand for no part of the plan: spare." in warnings


def test_a_domain_s_own_task_that_is_missing_after_is_said_to_be_missing(tmp_path, run, names):
    one = task(graded("0101"))
    files = results(tmp_path, {names[0]: one, names[1]: one}, {names[0]: one})
    told = "\n".join(read_outcome(judged(run, *files)).warnings)
    assert f"{names[1]} (not measured after): asked for, and left out" in told
    assert "stand for no part" not in told


def test_the_metric_of_each_task_is_its_own(tmp_path, run, names):
    """What counts together is the mean over all items, each by the metric that was named for its task."""
    both = [item(n, {"acc": 0.0, "acc_norm": float(n < 3)}) for n in range(6)]
    sums = [item(n, {"exact_match": float(n < 1)}, filter=f) for n in range(2) for f in ("strict", "loose")]
    early = {"quiz": task(both), "sums": task(sums)}
    late = {
        "quiz": task(both),
        "sums": task([item(n, {"exact_match": 1.0}, filter=f) for n in range(2) for f in ("strict", "loose")]),
    }
    files = results(tmp_path, early, late)
    found = read_outcome(judged(run, *files, f"{names[0]}=quiz:acc_norm", f"{names[0]}=sums:exact_match,loose"))
    measured = found.domains[names[0]]
    assert (measured.headline, measured.quantity) == ("lm_eval", "accuracy")
    assert (measured.change.items, measured.change.change) == (8, pytest.approx(1 / 8))
    assert (
        f"{names[0]}: what counts together as accuracy is acc_norm of quiz, exact_match of sums (loose)."
        in found.warnings
    )
    # Named for the second alone, a metric that both have counts for both.
    found = read_outcome(
        judged(
            run,
            *results(tmp_path, {"a": task(both), "b": task(both)}, {"a": task(both), "b": task(both)}),
            f"{names[0]}=a",
            f"{names[0]}=b:acc_norm",
        )
    )
    assert found.domains[names[0]].quantity == "acc_norm"


def test_metrics_that_are_unknown_contradict_or_cannot_count_together_are_refused(tmp_path, run, names):
    both = task([item(n, {"acc": 1.0, "acc_norm": 0.0, "f1": 0.5}) for n in range(2)])
    files = results(tmp_path, {"a": both, "b": both}, {"a": both, "b": both})

    def refused(*tasks):
        with pytest.raises(MixplanError) as caught:
            judged(run, *files, *(f"{names[0]}={one}" for one in tasks))
        return str(caught.value)

    assert f"--tasks {names[0]}=b: no metric 'nope'; there are acc (lm_eval), " in refused("a:acc", "b:nope")
    assert f"--tasks {names[0]}=b: no filter 'nope' was measured before and after; there are 'none'." in refused(
        "a:acc", "b:acc,nope"
    )
    assert refused("a:acc", "a:acc_norm") == (
        f"--tasks {names[0]}=a:acc_norm: for the task 'a' of {names[0]}, acc was asked for before, and now acc_norm. "
        "Name one."
    )
    assert "acc of a, f1 of b are of different kinds and cannot count together." in refused("a:acc", "b:f1")


def test_the_first_filter_may_be_named_too(tmp_path, run, names):
    one = {names[0]: task(graded("0101"))}
    found = read_outcome(judged(run, *results(tmp_path, one, one), f"{names[0]}={names[0]}:acc,none"))
    assert found.domains[names[0]].headline == "lm_eval"


@pytest.mark.parametrize("override", ["train.method=grpo", "evaluate.rows=3", "evaluate.also=[]", "evaluate.tasksx=1"])
def test_what_has_no_effect_on_results_is_refused(tmp_path, run, names, override):
    one = {names[0]: task(graded("0101"))}
    with pytest.raises(RunError, match=f"--set {re.escape(override)}: has no effect on results that were measured"):
        judge_results(run, ResultsRequest(*results(tmp_path, one, one)), (override,))


def test_what_has_an_effect_on_results_is_taken(tmp_path, run, names):
    one = {"sums": task(graded("0101"))}
    overrides = (f"evaluate.tasks.{names[0]}=sums", "evaluate.resamples=300", "seed=3")
    found = judge_results(run, ResultsRequest(*results(tmp_path, one, one)), overrides)
    assert read_outcome(found).domains[names[0]].change.items == 4
