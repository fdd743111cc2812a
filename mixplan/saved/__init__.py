"""Defines plan.json, evaluations and outcome.json as typed, versioned values, written and read in one place."""

from mixplan.saved.outcome import Outcome as Outcome
from mixplan.saved.plan import Plan as Plan
from mixplan.saved.read import VERSION as VERSION
from mixplan.saved.read import SavedFileError as SavedFileError
from mixplan.saved.read import outcome_again as outcome_again
from mixplan.saved.read import plan_again as plan_again
from mixplan.saved.read import read_earlier_outcome as read_earlier_outcome
from mixplan.saved.read import read_outcome as read_outcome
from mixplan.saved.read import read_plan as read_plan
from mixplan.saved.write import outcome_hash as outcome_hash
from mixplan.saved.write import plan_hash as plan_hash
from mixplan.saved.write import write_outcome as write_outcome
from mixplan.saved.write import write_plan as write_plan
