"""The fields read from TRL's and peft's source are those that their classes really take."""

import dataclasses
import subprocess
import sys

import peft
import pytest
import trl

from mixplan.errors import RecipeError
from mixplan.recipe.arguments import Argument, arguments
from mixplan.recipe.rules import CONFIG_CLASSES, LORA_CLASS

CLASSES = [*CONFIG_CLASSES.values(), LORA_CLASS]


@pytest.mark.parametrize("place", CLASSES, ids=lambda place: place[2])
def test_fields_are_those_the_constructor_takes(place):
    real = getattr({"trl": trl, "peft": peft}[place[0]], place[2])
    taken = {field.name for field in dataclasses.fields(real) if field.init and not field.name.startswith("_")}
    assert set(arguments(*place)) == taken


@pytest.mark.parametrize("place", CLASSES, ids=lambda place: place[2])
def test_every_simple_default_is_taken(place):
    real = getattr({"trl": trl, "peft": peft}[place[0]], place[2])
    known = arguments(*place)
    for field in dataclasses.fields(real):
        if field.name in known and isinstance(field.default, bool | int | float | str | dict | list):
            default = getattr(field.default, "value", field.default)
            assert known[field.name].takes(default), field.name


def test_types_are_told_apart():
    sft = arguments(*CONFIG_CLASSES["sft"])
    assert sft["learning_rate"] == Argument(("float",))
    assert sft["learning_rate"].takes(1)
    assert not sft["learning_rate"].takes(True)
    assert not sft["per_device_train_batch_size"].takes(1.5)
    assert sft["max_length"] == Argument(("int", "None"))
    assert sft["max_length"].words() == "int or None"
    assert sft["lr_scheduler_type"].takes("cosine")
    lora = arguments(*LORA_CLASS)
    assert lora["bias"] == Argument((), ("none", "all", "lora_only"))
    assert lora["target_modules"].takes(["q_proj"])
    assert lora["target_modules"].takes("all-linear")
    assert not lora["target_modules"].takes(3)


def test_a_package_that_is_not_installed_is_said():
    with pytest.raises(RecipeError) as raised:
        arguments("no_such_package", "config.py", "Config")
    assert str(raised.value) == (
        "the package 'no_such_package' is not installed, so `train` cannot be checked. Install no_such_package."
    )


def test_reading_them_loads_neither_torch_nor_trl():
    code = (
        "import sys; from mixplan.recipe.arguments import arguments; from mixplan.recipe.rules import *\n"
        "for place in [*CONFIG_CLASSES.values(), LORA_CLASS]: assert arguments(*place)\n"
        "print(sorted({'torch', 'trl', 'transformers', 'peft'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
