"""How many steps a pilot takes, by the job's arithmetic, and which pilots are refused with what remedy."""

import pytest
import yaml

from mixplan.errors import RecipeError
from mixplan.pilot.steps import cost, pilot_job
from mixplan.recipe import load_recipe

ARGS = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "num_train_epochs": 3, "warmup_steps": 0.1,
        "learning_rate": 1e-4}  # fmt: skip


@pytest.fixture
def recipe(tmp_path):
    """A job of 3 epochs over its rows in steps of 8."""

    def load(pilot=None, **args):
        spec = {"data": {"generator": "chain_sum"}, "format": "question_answer",
                "columns": {"question": "question", "answer": "answer"}}  # fmt: skip
        value = {
            "model": {"name": "some/model", "sae": "none"},
            "target": spec,
            "domains": dict.fromkeys(("a", "b", "c", "d", "e"), spec),
            "budget": {"rows": 8},
            "train": {"args": ARGS | args},
            "forecast": {"from": "pilot", **({"pilot": pilot} if pilot else {})},
        }
        place = tmp_path / "recipe.yaml"
        place.write_text(yaml.safe_dump(value))
        return load_recipe(place)

    return load


@pytest.mark.parametrize(("rows", "steps"), [(800, 30), (808, 31), (80, 3), (24, 3)])
def test_a_tenth_of_the_jobs_steps_and_no_fewer_than_three(recipe, rows, steps):
    pilot, job = pilot_job(recipe(), rows)
    assert job.steps == 3 * rows / 8
    assert pilot.steps == steps
    assert pilot.model_copy(update={"steps": job.steps}) == job


def test_the_recipe_says_how_many(recipe):
    assert pilot_job(recipe({"steps": 7}), 800)[0].steps == 7


@pytest.mark.parametrize(
    ("rows", "pilot", "args", "says"),
    [
        (8, None, {}, r"a pilot of 3 steps is no shorter than the job, which takes 3 .* or leave `forecast.from` out"),
        (80, {"steps": 30}, {}, r"Set `forecast.pilot.steps` below 30"),
        (800, None, {"warmup_steps": 40}, r"ends within the job's warm-up of 40 steps.*to at least 80"),
        (800, None, {"packing": True}, r"not known before training.*`train.args.max_steps`"),
        (800, None, {"num_train_epochs": 0}, r"not known before training.*`train.args.max_steps`"),
    ],
)
def test_what_is_no_pilot_is_refused(recipe, rows, pilot, args, says):
    with pytest.raises(RecipeError, match=says):
        pilot_job(recipe(pilot, **args), rows)


def test_the_remedy_for_a_long_warm_up_works(recipe):
    assert pilot_job(recipe({"steps": 80}, warmup_steps=40), 800)[0].steps == 80


def test_the_cost_is_told_in_steps_domains_and_rows(recipe):
    text = cost(recipe({"rows": 20}), 800)
    assert "30 steps on the target alone, where the job takes 300" in text
    assert "measures 3 to 5 domains" in text
    assert "at most 20 evaluation rows each" in text
    assert "a, c" in cost(recipe({"domains": ["a", "c"]}), 800)
