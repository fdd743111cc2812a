"""Writes the mixed data set of planned rows: Parquet shards, a data card and the TRL config that trains on them."""

from mixplan.mixture.answers import Untrained, messages
from mixplan.mixture.build import build_mixture
from mixplan.mixture.licences import allowed, excluded_lines, licence_outlook, require_own_rows
from mixplan.mixture.order import take_target
from mixplan.mixture.result import Mixture, Progress, describe, read_mixture
from mixplan.mixture.tokens import TokenCounter, token_counter

__all__ = [
    "Mixture",
    "Progress",
    "TokenCounter",
    "Untrained",
    "allowed",
    "build_mixture",
    "describe",
    "excluded_lines",
    "licence_outlook",
    "messages",
    "read_mixture",
    "require_own_rows",
    "take_target",
    "token_counter",
]
