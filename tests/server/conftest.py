from __future__ import annotations

import pytest

from tests.server.serving import Held


@pytest.fixture
def held(tmp_path) -> Held:
    return Held(tmp_path)
