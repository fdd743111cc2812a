"""Defines an exception for each kind of failure that a person can mend, with the message they will read.

MixplanError            anything below; the command line prints it and exits with code 1
├── RecipeError         a recipe, config or `--set` value, each problem with file and line
├── DataError           a data source, a row, a split that cannot be made
├── ModelError          a model or tokenizer that cannot be loaded or used
├── SaeError            an SAE that cannot be loaded or does not belong to the model
├── DriftError          drift dimensions that cannot be taken from the statistics given
├── AllocationError     limits that clash, or a solver that did not solve
├── TrainError          a job that stopped, changed no weight, or read other rows than planned
├── EvaluateError       a task or package that an evaluation needs, not there or not fitting the domain
└── RunError            the run folder: locked, damaged, not writable, disk full
"""


class MixplanError(Exception):
    """A problem with its remedy, written for the person who ran the command."""


class RecipeError(MixplanError):
    """A recipe or config is wrong; the message lists every problem with file and line."""


class DataError(MixplanError):
    """Data is missing, malformed, or too little for what the recipe asks."""


class ModelError(MixplanError):
    """A model or tokenizer cannot be loaded or used as the recipe asks."""


class SaeError(MixplanError):
    """An SAE cannot be loaded, or was made for another model or place."""


class DriftError(MixplanError):
    """Drift dimensions cannot be taken from these statistics."""


class AllocationError(MixplanError):
    """No allocation satisfies the limits, or the solver did not reach one."""


class TrainError(MixplanError):
    """A training job stopped, changed no weight, or read other rows than the plan says."""


class EvaluateError(MixplanError):
    """An evaluation needs a task or package that is not there or does not fit the domain."""


class RunError(MixplanError):
    """The run folder cannot be used: locked, damaged, not writable, or the disk is full."""
