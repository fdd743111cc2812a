"""STS and earlier runs in, the change to expect of each domain out; relative to the others until runs give a unit."""

from mixplan.forecast.earlier import History, Kind, earlier_runs
from mixplan.forecast.risk import Forecast, Risk, forecast

__all__ = ["Forecast", "History", "Kind", "Risk", "earlier_runs", "forecast"]
