from __future__ import annotations

from pathlib import Path

import pytest

from falconkit.arena import Arena


@pytest.fixture
def arena(tmp_path: Path) -> Arena:
    return Arena(tmp_path / "run")
