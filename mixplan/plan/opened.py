"""Opens a recipe's domains under the name that scripts written for version 0.1.0 import."""

from mixplan.domains.cached_domains import opened

__all__ = ["opened"]
