"""verl is told as many steps as the recipe's job takes, and as many epochs as hold them."""

import pytest
from small_training import training

from mixplan.export.verl import notes, settings


@pytest.mark.parametrize(("max_steps", "epochs", "wanted"), [(7, 1.0, 7), (3, 5.0, 3), (-1, 1.5, 3), (-1, 2.0, 4)])
def test_it_ends_after_the_steps_that_are_asked_for(max_steps, epochs, wanted):
    """Its loop runs over epochs and within them over whole batches, and returns at the last step."""
    found = settings(training({"max_steps": max_steps}, epochs=epochs), 65, 17, mismatch=False)
    batches = 17 // found["data.train_batch_size"]
    ended = None
    steps = 0
    for _ in range(found["trainer.total_epochs"]):
        for _ in range(batches):
            steps += 1
            if ended is None and steps >= found["trainer.total_training_steps"]:
                ended = steps
    assert ended == wanted


def test_each_argument_goes_into_the_command_or_is_reported():
    """A key that nobody handles would be lost without a word; so would the model's revision."""
    extra = {"optim": "adafactor", "label_smoothing_factor": 0.1, "report_to": "none"}
    lost, revision = list(notes(training({"lr_scheduler_type": "cosine", **extra}, lora=None), 18))[2:]
    assert lost == (
        "No counterpart is written for verl of `train.args.adam_epsilon`, `train.args.label_smoothing_factor`, "
        "`train.args.optim`."
    )
    assert revision == (
        "verl has no key for `model.revision` and would train the newest of 'org/base'. Give it a folder in its "
        "place: `hf download org/base --revision v2 --local-dir FOLDER`."
    )
    plain = {"adam_epsilon": 1e-8, "lr_scheduler_type": "cosine"}
    assert len(list(notes(training(plain, lora=None, revision=None), 18))) == 2
    (kind,) = list(notes(training(plain, lora=None, revision=None, bf16=False, fp16=True), 18))[2:]
    assert "trains in float16" in kind
