"""Forecasts each domain's change from STS, earlier runs and studies; only relative risk until runs give a unit."""

from mixplan.forecast.earlier_runs import NO_SAE, History, Kind, earlier_runs
from mixplan.forecast.evidence import Study, with_studies
from mixplan.forecast.halving import Amount, halving_rows, rows_save
from mixplan.forecast.job import Job
from mixplan.forecast.left_out import left_out_lines_of
from mixplan.forecast.matching import Planned
from mixplan.forecast.response import Halving
from mixplan.forecast.risk import Forecast, Risk, forecast

__all__ = [
    "NO_SAE",
    "Amount",
    "Forecast",
    "Halving",
    "History",
    "Job",
    "Kind",
    "Planned",
    "Risk",
    "Study",
    "earlier_runs",
    "forecast",
    "halving_rows",
    "left_out_lines_of",
    "rows_save",
    "with_studies",
]
