"""A planned run in, a trained model out: TRL's trainers started by accelerate, with proof of what they read."""

from mixplan.train.emit import emit
from mixplan.train.launch import Launch
from mixplan.train.make import Trained, train
from mixplan.train.verify import verify

__all__ = ["Launch", "Trained", "emit", "train", "verify"]
