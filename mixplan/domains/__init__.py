"""Opens domains from data specs: rows split into evaluation, query, demonstration and pool, no row in two."""

from mixplan.domains.content import normalised
from mixplan.domains.fields import fill
from mixplan.domains.rows import Row, read_rows, read_texts
from mixplan.domains.sources import count_rows, read_records
from mixplan.domains.split import Domain, describe, open_domains

__all__ = [
    "Domain",
    "Row",
    "count_rows",
    "describe",
    "fill",
    "normalised",
    "open_domains",
    "read_records",
    "read_rows",
    "read_texts",
]
