"""Reads a recipe's YAML as frozen, validated models, and reports every problem at once with its file and line."""

from mixplan.recipe.domain_spec import ColumnsSpec, DataSpec, DomainSpec, SourceSpec, SourcesSpec, SplitSpec, TargetSpec
from mixplan.recipe.forecast_spec import ForecastSpec
from mixplan.recipe.load import LoadedRecipe, load_recipe
from mixplan.recipe.reading_spec import DriftSpec, RolloutsSpec, StsSpec
from mixplan.recipe.section import Name, Scalar, Section
from mixplan.recipe.spec import (
    AllocateSpec,
    BudgetSpec,
    DuringSpec,
    EvaluateSpec,
    GroupSpec,
    LicencesSpec,
    Measure,
    MixtureSpec,
    ModelSpec,
    Recipe,
    SaeSpec,
    TrainSpec,
)
from mixplan.recipe.validate import section

__all__ = [
    "AllocateSpec",
    "BudgetSpec",
    "ColumnsSpec",
    "DataSpec",
    "DomainSpec",
    "DriftSpec",
    "DuringSpec",
    "EvaluateSpec",
    "ForecastSpec",
    "GroupSpec",
    "LicencesSpec",
    "LoadedRecipe",
    "Measure",
    "MixtureSpec",
    "ModelSpec",
    "Name",
    "Recipe",
    "RolloutsSpec",
    "SaeSpec",
    "Scalar",
    "Section",
    "SourceSpec",
    "SourcesSpec",
    "SplitSpec",
    "StsSpec",
    "TargetSpec",
    "TrainSpec",
    "load_recipe",
    "section",
]
