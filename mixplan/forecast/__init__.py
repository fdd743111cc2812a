"""STS, earlier runs and studies in, each domain's expected change out; relative to others until runs give a unit."""

from mixplan.forecast.amounts import Amount, halving_rows
from mixplan.forecast.earlier import History, Kind, earlier_runs
from mixplan.forecast.evidence import Study, with_studies
from mixplan.forecast.response import Halving
from mixplan.forecast.risk import Forecast, Risk, forecast

__all__ = [
    "Amount",
    "Forecast",
    "Halving",
    "History",
    "Kind",
    "Risk",
    "Study",
    "earlier_runs",
    "forecast",
    "halving_rows",
    "with_studies",
]
