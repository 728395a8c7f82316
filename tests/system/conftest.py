from __future__ import annotations

import pytest

from tests.system.serving import Serve


@pytest.fixture(scope="module")
def module_folder(tmp_path_factory: pytest.TempPathFactory):
    return tmp_path_factory.mktemp("system")


@pytest.fixture(scope="module")
def shared_serve(module_folder) -> Serve:
    return Serve(module_folder)


@pytest.fixture
def serve(tmp_path) -> Serve:
    return Serve(tmp_path)
