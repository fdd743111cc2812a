"""Planned rows in, the mixed data set out: Parquet shards, a data card and the TRL config that trains on them."""

from mixplan.mixture.answers import Untrained
from mixplan.mixture.build import build_mixture
from mixplan.mixture.result import Mixture, Part, describe, read_mixture

__all__ = ["Mixture", "Part", "Untrained", "build_mixture", "describe", "read_mixture"]
