"""Names what a row of a data source holds before a domain's format has read it."""

from __future__ import annotations

from typing import Any

Values = dict[str, Any]
"""A row's columns with values of whatever types the file, the hub or the generator gives them."""
