"""The command line under test: wharf, or the peers that WHARF_TEST_TARGETS names."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.compat.targets import Cli, opened

_TARGETS = os.environ.get("WHARF_TEST_TARGETS", "wharf").split(",")


@pytest.fixture(scope="session", params=_TARGETS)
def _session_cli(request: pytest.FixtureRequest) -> Iterator[Cli]:
    yield from opened(request.param)


@pytest.fixture
def cli(_session_cli: Cli) -> Iterator[Cli]:
    """A command line; what the test makes is removed."""
    yield _session_cli
    _session_cli.clean()
