"""Opens domains from data specs: evaluation rows are held out, the others are read, shown and trained on."""

from mixplan.domains.domain import Domain, by_name
from mixplan.domains.duplicates import normalised
from mixplan.domains.fields import fill
from mixplan.domains.row_counts import account, row_warnings
from mixplan.domains.rows import Row, read_rows, read_texts
from mixplan.domains.sources import count_rows, read_records
from mixplan.domains.split import open_domains, open_some, whole

__all__ = [
    "Domain",
    "Row",
    "account",
    "by_name",
    "count_rows",
    "fill",
    "normalised",
    "open_domains",
    "open_some",
    "read_records",
    "read_rows",
    "read_texts",
    "row_warnings",
    "whole",
]
