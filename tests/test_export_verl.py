"""verl is told as many steps as the recipe's job takes, and as many epochs as hold them."""

import pytest
from small_training import training

from mixplan.export.verl import settings


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
