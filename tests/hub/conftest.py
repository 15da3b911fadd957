"""A hub and a machine of each test's own; one repository with everything that a model brings."""

import pytest

pytest.register_assert_rewrite("clients")

from clients import BOBBY, Machine
from hub import Hub
from repository import Repository, model_files


def pytest_sessionstart(session):
    if not BOBBY.exists():
        pytest.exit(f"there is no {BOBBY}; build it, or name another with BOBBY_BINARY", 2)


@pytest.fixture
def hub():
    with Hub() as hub:
        yield hub


@pytest.fixture
def machine(tmp_path, hub) -> Machine:
    return Machine(tmp_path / "home", hub)


@pytest.fixture
def tiny(hub) -> Repository:
    return hub.add(Repository("acme/tiny", model_files()))
