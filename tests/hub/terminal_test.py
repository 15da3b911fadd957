"""What a person sees of a download: on a terminal, and in a log."""

import os
import pty
import re
import select
import subprocess
import time

import pytest

from clients import BOBBY
from repository import Repository, single_file_model

SIZE = 3_000_000


@pytest.fixture
def single(hub) -> Repository:
    repository = hub.add(Repository("acme/single", single_file_model(SIZE)))
    hub.fail(repository.files["model.safetensors"].sha256, server="content", method="GET", times=None, rate=1_500_000)
    return repository


def on_a_terminal(machine, *words) -> str:
    """What a command writes to a terminal."""
    ours, its = pty.openpty()
    process = subprocess.Popen([str(BOBBY), *words], env=machine.environment | {"TERM": "xterm"}, stdin=its, stdout=its,
                               stderr=its, close_fds=True, start_new_session=True, cwd=machine.home)
    os.close(its)
    text = b""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                part = os.read(ours, 65536)
            except OSError:
                break  # it ended
            if not part:
                break
            text += part
    os.close(ours)
    assert process.wait(10) == 0, text
    return text.decode()


def test_a_line_that_moves(machine, single):
    text = on_a_terminal(machine, "model", "pull", "acme/single")
    moving = [line for line in re.split(r"[\r\n]", text) if "model.safetensors" in line and "%" in line]
    assert len(moving) >= 3, text
    assert any(re.search(r"[\d.]+ [kM]B/s", line) for line in moving) and any("left" in line for line in moving), moving
    percents = [int(re.search(r"(\d+)%", line)[1]) for line in moving]
    assert percents == sorted(percents)


def test_quiet_on_a_terminal(machine, single):
    text = on_a_terminal(machine, "model", "pull", "acme/single", "-q")
    assert "%" not in text


def test_without_bars(machine, single):
    text = on_a_terminal(machine.set(HF_HUB_DISABLE_PROGRESS_BARS=1), "model", "pull", "acme/single")
    assert "%" not in text


def test_names_do_not_speak_to_the_terminal(machine, hub, single):
    """What a server says is shown without its control characters."""
    hub.fail("/api/models/", times=None, status=403, headers={"X-Error-Message": "\x1b]0;evil\x07\x1b[31mred"})
    result = machine.run("model", "pull", "acme/single")
    assert result.returncode == 1 and "\x1b" not in result.stderr and "\x07" not in result.stderr
