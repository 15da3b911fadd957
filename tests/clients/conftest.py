"""One server with three adapters for all tests that leave it as it was; others start their own."""

import pathlib

import pytest

from adapter_files import write_adapter
from bobby_server import BOBBY, DEMO, Server

VOICES = {"voice1": 1, "voice2": 2, "voice3": 3}


def pytest_sessionstart(session):
    if not BOBBY.exists():
        pytest.exit(f"there is no {BOBBY}; build it, or name another with BOBBY_BINARY", 2)
    if not (DEMO / "config.json").exists():
        pytest.exit(f"there is no demo model at {DEMO}; tools/demo_model.sh fetches it", 2)


@pytest.fixture(scope="session")
def voices(tmp_path_factory) -> dict[str, pathlib.Path]:
    folder = tmp_path_factory.mktemp("adapters")
    return {name: write_adapter(folder / name, seed) for name, seed in VOICES.items()}


@pytest.fixture(scope="session")
def server(tmp_path_factory, voices):
    with Server(tmp_path_factory.mktemp("server")) as server:
        for name, folder in voices.items():
            server.load(folder, name)
        yield server
        assert server.process.poll() is None, f"the server died:\n{server.log_text()}"


@pytest.fixture
def home(tmp_path) -> pathlib.Path:
    return tmp_path / "home"
