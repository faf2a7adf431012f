"""Settings of every test: one thread per worker, and how many examples Hypothesis tries."""

from __future__ import annotations

import os

# Workers of pytest-xdist share the cores; set before torch is imported, which reads it once.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

# The same examples on every run, but for the nightly one: HYPOTHESIS_PROFILE=nightly.
settings.register_profile("default", max_examples=25, deadline=None, derandomize=True)
settings.register_profile("nightly", max_examples=500, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the expected texts of fixtures anew")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether to write expected texts rather than compare with them."""
    return bool(request.config.getoption("--update-golden"))
