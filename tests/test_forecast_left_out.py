"""Says of measurements that do not teach a plan one line a reason, in full."""

from mixplan.forecast.earlier_runs import History, LeftOut
from mixplan.forecast.left_out import left_out_lines, left_out_lines_of


def test_one_line_for_each_reason_with_the_key():
    found = left_out_lines(
        [
            LeftOut("b", "settings", ("drift.features: 50", "sts.demonstrations: 2")),
            LeftOut("old", "model", ("model.name: acme/x",)),
            LeftOut("c", "training method", ("train.method: grpo",)),
            LeftOut("older", "model", ("model.name: acme/x",)),
        ]
    )
    assert found == [
        "The forecast does not learn from old and older, which are of another model; `model.name: acme/x` would let "
        "them in.",
        "The forecast does not learn from b, which is measured with other settings; `drift.features: 50` with "
        "`sts.demonstrations: 2` would let it in.",
        "The forecast does not learn from c, which is of another training method; `train.method: grpo` would let it "
        "in.",
    ]


def test_many_are_counted_and_keys_that_differ_are_named_alone():
    many = [LeftOut(f"run{number}", "model", (f"model.name: m{number}",)) for number in range(9)]
    assert left_out_lines(many) == [
        "The forecast does not learn from run0, run1, run2 and 6 more, which are of another model; `model.name` as "
        "theirs would let them in."
    ]
    assert "run0, run1, run2 and run3, which" in left_out_lines(many[:4])[0]


def test_what_comes_with_mixplan_and_is_of_another_model_is_no_news():
    assert left_out_lines([LeftOut("Shipped", "model", ("model.name: embedded",), shipped=True)]) == []
    assert len(left_out_lines([LeftOut("Shipped", "SAE", ("model.sae: embedded",), shipped=True)])) == 1


def test_where_nothing_teaches_a_plan_what_would_with_other_settings_is_a_warning():
    settings = LeftOut("Shipped", "settings", ("sts.demonstrations: 2",), shipped=True)
    named, sae = LeftOut("mine", "model", ("model.name: m",), asked=True), LeftOut("b", "SAE", ("model.sae: s",))
    warned, beside = left_out_lines_of(History(left_out=(settings, named, sae)))
    assert warned == left_out_lines([settings, named])
    assert beside == left_out_lines([sae])
    warned, beside = left_out_lines_of(History(runs=(None,), left_out=(settings, named, sae)))
    assert warned == left_out_lines([named])
    assert beside == left_out_lines([settings, sae])
