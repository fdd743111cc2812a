"""Reads the YAML of an SAE training as validated models; every problem is reported with its file and line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from mixplan.errors import RecipeError
from mixplan.recipe.domain_spec import DataSpec
from mixplan.recipe.lines import read
from mixplan.recipe.section import Name, Positive, Section
from mixplan.recipe.validate import departures


class TextData(Section):
    """Running text: one document a row, or one a file."""

    data: DataSpec | None = Field(None, description="Rows; `text` is then a column's name or a template.")
    text: str | None = Field(None, description="A column's name, or a template with `{column}` places.")
    package: str | None = Field(None, description="An installed Python package whose files are documents.")
    glob: str = Field("**/*.py", description="Which of the package's files.")
    licence: str = Field(description="Licence of the text, for the card.")


class ChatData(Section):
    """Questions, with answers where there are, rendered through the model's chat template."""

    data: DataSpec
    question: str = Field(description="A column's name, or a template with `{column}` places.")
    answer: str | None = Field(
        None, description="A column's name or template; the user's turn stands alone when not given."
    )
    turns: Positive = Field(1, description="How many question and answer pairs make one conversation.")
    licence: str = Field(description="Licence of the text, for the card.")


class Excluded(Section):
    """Rows that must not be read, such as those of a domain suite."""

    data: DataSpec
    text: str = Field(
        description="A column's name or template, compared with questions and documents by normalised content."
    )


class Kind(Section):
    """One kind of corpus and how many tokens of it to read."""

    tokens: Positive
    texts: list[TextData] = Field(default_factory=list)
    chats: list[ChatData] = Field(default_factory=list)


class Trainer(Section):
    """How SAELens trains the SAE."""

    kind: Literal["batchtopk", "topk", "standard", "jumprelu", "gated"] = "batchtopk"
    d_sae: Positive
    k: Positive = Field(32, description="batchtopk and topk: active features per token.")
    l1: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        1.0, description="standard, gated and jumprelu: sparsity coefficient."
    )
    auxiliary: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        1.0, description="topk kinds: coefficient of the loss that revives dead features."
    )
    dead_after_steps: Positive = Field(150, description="A feature silent for so many steps counts as dead.")
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 8e-4
    warm_up_share: Annotated[float, Field(ge=0, lt=0.5)] = 0.05
    decay_share: Annotated[float, Field(ge=0, lt=0.5)] = 0.25
    batch_tokens: Positive = 1024
    passes: Positive = Field(1, description="How often the tokens are seen.")


class SaeTraining(Section):
    """A whole SAE training: model, place, corpus and trainer."""

    model: Name | str = Field(description="A hub id, a local folder, or `embedded`.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "auto"
    hook_name: str
    context_tokens: Positive = 512
    batch_contexts: Positive = Field(8, description="Contexts in one forward pass.")
    buffer_contexts: Positive = Field(
        256, description="Contexts whose tokens are shuffled together; also the step of resuming."
    )
    keep_activations: bool = Field(
        False, description="Keep the read activations for another training on the same corpus."
    )
    heldout_tokens: Positive = Field(40_000, description="Tokens of each kind set aside for the card's figures.")
    train_tokens: Positive | None = Field(None, description="Stop after so many tokens of the mixed corpus.")
    corpus: dict[Name, Kind] = Field(min_length=1)
    exclude: list[Excluded] = Field(default_factory=list)
    trainer: Trainer
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


def load_training(path: Path) -> SaeTraining:
    """Read and check an SAE training's YAML.

    Raises:
        RecipeError: anything is wrong; one line for each problem.
    """
    tree, problems = read(path, str(path))
    if tree is None or problems:
        raise RecipeError("\n".join(str(problem) for problem in problems))
    if found := departures(tree, SaeTraining):
        raise RecipeError("\n".join(str(problem) for problem in found.values()))
    return SaeTraining.model_validate(tree.plain())
