"""Pushes a run's mixture, model or report to a hub repository, in one commit and with nothing of this machine in it."""

from mixplan.push.file_changes import Offer as Offer
from mixplan.push.make import PushRequest as PushRequest
from mixplan.push.make import push_run as push_run
