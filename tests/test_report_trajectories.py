"""The page's sections on what was measured while a model trained."""

import html
import re

from made_trajectory import PLAIN

from mixplan.report.trajectories import measured_in, while_it_trained
from mixplan.saved.trajectory import End, Failed, Kept, Named, Trajectory, write_trajectory

KEPT = Kept(step=10, folder="checkpoints/step-10", why="The model of step 10 is kept.")
END = End(step=20, seconds=11.0, spent=1.0, left_out=3, stopped="It was stopped.", kept=KEPT)


def test_each_curve_has_its_text_and_the_table_its_figures():
    page = str(while_it_trained(Named(None, Trajectory(PLAIN.begin, PLAIN.points, (), END))))
    assert "<h2" in page
    assert "While it trained" in page
    texts = re.findall(r'role="img" aria-label="([^"]+)"', page)
    assert "law: KL in nats per token from 0 at step 0 to 0.300 at step 20." in texts
    assert any(text.startswith("target: Bits per byte of the reference answer (bits/B) from 2.00 at") for text in texts)
    for said in (
        "It was stopped.",
        "The model of step 10 is kept.",
        "1 s from the start on, 10.0 % of the training's 10 s",
    ):
        assert said in html.unescape(page)
    # Each step gains more at more KL, so that all three are on the front; the kept one is marked.
    assert "at no more KL than these: 0, 10, 20" in page
    assert page.count('<i class="gain">') == 1
    assert page.count('<i class="moved">') == 2


def test_a_training_at_work_and_one_without_measures_are_said_to_be_so():
    page = str(while_it_trained(Named("mine", Trajectory(PLAIN.begin, PLAIN.points[:1]))))
    assert "While mine trained" in page
    assert "The training has not ended." in page
    failed = Trajectory(PLAIN.begin, PLAIN.points, (Failed(step=5, why="no memory"),))
    assert "Step 5 was not measured: no memory" in str(while_it_trained(Named(None, failed)))


def test_a_training_without_any_measure_says_what_it_took_and_that_they_were_left_out():
    none = Trajectory(PLAIN.begin.model_copy(update={"settings": {"cost": 0.05}}), (), (), END)
    page = html.unescape(str(while_it_trained(Named(None, none))))
    assert "Measured at none of 100 steps. Measuring took 1 s from the start on, 10.0 % of" in page
    assert "(at most 5.0 % by evaluate.during.cost)" in page
    assert "3 measures were left out to keep to that bound." in page


def test_a_judged_model_is_shown_with_its_own_training_alone(tmp_path):
    for name in ("mine", "other"):
        write_trajectory(PLAIN, tmp_path / "monitored" / name)
    assert [named.name for named in measured_in(tmp_path)] == ["mine", "other"]
    assert [named.name for named in measured_in(tmp_path / "judged" / "mine")] == ["mine"]
    assert measured_in(tmp_path / "judged" / "third") == []
