import pytest

from falconkit.testing import ManualClock


@pytest.fixture
def clock():
    return ManualClock()
