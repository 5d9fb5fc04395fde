"""A run root that no socket fits below."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.engine.engine import open_engine
from core.errors import InvalidInput
from core.model.container import ContainerSpec
from core.model.progress import CancelToken
from tests.conftest import STARTER, silent


def test_run_root_too_long_for_sockets_is_named_and_starts_nothing(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "data", tmp_path / ("r" * 100))
    engine.images.starter(STARTER, silent, CancelToken())
    made = engine.containers.create(ContainerSpec(image=STARTER, command=("true",)))
    with pytest.raises(InvalidInput, match=r"run root .* has .* bytes"):
        engine.containers.start(made.id)
    assert engine.containers.inspect(made.id).status == "created"
    engine.system.reset()
