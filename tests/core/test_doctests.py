import doctest
import importlib
import pkgutil

import pytest

from joulebook_ledger import core

MODULES = [f"{core.__name__}.{module.name}" for module in pkgutil.iter_modules(core.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_are_true(name):
    """What a docstring of core shows is what it does."""
    assert doctest.testmod(importlib.import_module(name)).failed == 0
