"""What all tests share: annotations are checked, and there is a tiny model."""

from collections.abc import Iterator

import jaxtyping

# Before any test module imports the package: shapes and types are checked here, and in tests only.
jaxtyping.install_import_hook("maskmend", "beartype.beartype")

import pytest


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Turns the annotations' checker off, so that the errors users see are reached with bad input."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)
