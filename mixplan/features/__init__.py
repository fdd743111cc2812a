"""Token batches in, streamed feature statistics out, aligned with and without demonstrations."""

from mixplan.features.examples import Example, examples_of
from mixplan.features.forward import Pack, read_unit
from mixplan.features.queries import Query, Reading, Unit, plan_reading
from mixplan.features.statistics import (
    Columns,
    Statistics,
    from_bytes,
    measure_unit,
    statistics_key,
    to_bytes,
)

__all__ = [
    "Columns",
    "Example",
    "Pack",
    "Query",
    "Reading",
    "Statistics",
    "Unit",
    "examples_of",
    "from_bytes",
    "measure_unit",
    "plan_reading",
    "read_unit",
    "statistics_key",
    "to_bytes",
]
