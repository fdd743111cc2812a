"""The tree in the module's docstring is the tree of classes, and each class is one that the command line catches."""

import inspect
import re

import pytest

from mixplan import errors

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value)]


def test_the_docstring_draws_the_tree():
    drawn = re.findall(r"^\s*(?:[├└]── )?(\w+Error) ", inspect.getdoc(errors), flags=re.MULTILINE)
    assert drawn == [kind.__name__ for kind in CLASSES]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_each_is_a_mixplan_error_that_says_its_message(kind):
    assert issubclass(kind, errors.MixplanError)
    assert str(kind("recipe.yaml:3: a problem. A remedy.")) == "recipe.yaml:3: a problem. A remedy."


def test_a_mixplan_error_is_never_caught_as_a_librarys_error():
    assert errors.MixplanError.__bases__ == (Exception,)
    assert all(kind.__bases__ == (errors.MixplanError,) for kind in CLASSES if kind is not errors.MixplanError)
