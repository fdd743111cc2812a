"""Reads other trainers' configs as what a recipe says of the same job: model, data sets, lengths, adapter."""

from mixplan.recipe.foreign.read import read_job
from mixplan.recipe.foreign.to_recipe import recipe_of

__all__ = ["read_job", "recipe_of"]
