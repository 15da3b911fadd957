"""A download goes on where it stopped: over broken connections, killed processes and expired addresses."""

import signal

import pytest

import cache
from clients import wait_until
from repository import Repository, single_file_model

SIZE = 3_000_000


@pytest.fixture
def single(hub) -> Repository:
    return hub.add(Repository("acme/single", single_file_model(SIZE)))


def kill_midway(machine, hub, sha256: str, how=signal.SIGKILL, rate: int = 2_000_000, after: int = SIZE // 2) -> int:
    """Bytes that had been sent when the process died."""
    fault = hub.fail(sha256, server="content", method="GET", times=None, rate=rate)
    with machine.start("model", "pull", "acme/single") as process:
        wait_until(lambda: hub.sent(sha256) > after, "the download runs")
        process.send_signal(how)
        process.wait(10)
    sent = hub.sent(sha256)
    hub.faults.remove(fault)
    hub.forget()
    return sent


@pytest.mark.parametrize("content_etag", ["md5", "sha256"])
def test_after_a_kill(machine, hub, single, content_etag):
    hub.content_etag = content_etag
    file = single.files["model.safetensors"]
    assert kill_midway(machine, hub, file.sha256) < len(file.data)
    assert "model.safetensors" not in cache.present(machine.cache, single)
    machine.pull("acme/single")
    machine.check(single, list(single.files))
    assert hub.sent(file.sha256) < 0.75 * len(file.data), machine.requests()


@pytest.mark.parametrize("how, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_after_an_interruption(machine, hub, single, how, code):
    file = single.files["model.safetensors"]
    fault = hub.fail(file.sha256, server="content", method="GET", times=None, rate=1_000_000)
    with machine.start("model", "pull", "acme/single") as process:
        wait_until(lambda: hub.sent(file.sha256) > SIZE // 2, "the download runs")
        process.send_signal(how)
        assert process.wait(3) in (code, 130)
    hub.faults.remove(fault)
    hub.forget()
    machine.pull("acme/single")
    machine.check(single, list(single.files))
    assert hub.sent(file.sha256) < 0.75 * len(file.data), machine.requests()


def test_over_many_breaks(machine, hub, single):
    file = single.files["model.safetensors"]
    hub.fail(file.sha256, server="content", method="GET", times=8, cut_after=300_000, cut_by_reset=False)
    machine.pull("acme/single")
    machine.check(single, list(single.files))
    assert hub.sent(file.sha256) < 1.2 * len(file.data), machine.requests()


def test_an_address_that_expires(machine, hub, single):
    """The content server answers 403 after the break: the hub gives a new address."""
    file = single.files["model.safetensors"]
    hub.signature_seconds = 0.4
    hub.fail(file.sha256, server="content", method="GET", cut_after=1_000_000, cut_by_reset=False, rate=1_000_000)
    machine.pull("acme/single")
    machine.check(single, list(single.files))


def test_a_server_without_ranges(machine, hub, single):
    file = single.files["model.safetensors"]
    hub.fail(file.sha256, server="content", method="GET", times=1, ignore_range=True, cut_after=1_000_000, cut_by_reset=False)
    hub.fail(file.sha256, server="content", method="GET", times=None, ignore_range=True, headers={"Accept-Ranges": None})
    machine.pull("acme/single")
    machine.check(single, list(single.files))


def test_a_server_that_gives_another_range(machine, hub, single):
    file = single.files["model.safetensors"]
    hub.fail(file.sha256, server="content", method="GET", times=1, cut_after=1_000_000, cut_by_reset=False)
    hub.fail(file.sha256, server="content", ranged=True, times=1, shift_range=100)
    machine.run("model", "pull", "acme/single")
    assert cache.wrong_bytes(machine.cache, single) == [] and cache.wrong_blobs(machine.cache) == []
    hub.forget()
    machine.pull("acme/single")
    machine.check(single, list(single.files))


def test_a_server_that_refuses_ranges(machine, hub, single):
    hub.fail(single.files["model.safetensors"].sha256, server="content", method="GET", times=1, cut_after=1_000_000,
             cut_by_reset=False)
    hub.fail(single.files["model.safetensors"].sha256, server="content", ranged=True, times=3, status=416)
    machine.run("model", "pull", "acme/single")
    assert cache.wrong_bytes(machine.cache, single) == [] and cache.wrong_blobs(machine.cache) == []
    hub.forget()
    machine.pull("acme/single")
    machine.check(single, list(single.files))


PARTS = {"the first half": lambda data: data[:SIZE // 2], "all of it": lambda data: data,
         "more than all": lambda data: data + b"more", "nothing": lambda data: b"",
         "other bytes": lambda data: b"z" * (SIZE // 2), "all, but wrong": lambda data: b"z" + data[1:]}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_an_older_library_left(machine, hub, single, part):
    """`<etag>.incomplete`, of which nobody knows who wrote it."""
    file = single.files["model.safetensors"]
    blobs = machine.cache / single.folder / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{file.sha256}.incomplete").write_bytes(PARTS[part](file.data))
    machine.pull("acme/single")
    machine.check(single, list(single.files))


def test_a_part_that_is_being_written_by_the_new_library(machine, hub, single):
    """`<etag>.<8 hex>.incomplete` is another process's own: left alone."""
    file = single.files["model.safetensors"]
    part = machine.cache / single.folder / "blobs" / f"{file.sha256}.0123abcd.incomplete"
    part.parent.mkdir(parents=True)
    part.write_bytes(file.data[:100])
    machine.pull("acme/single")
    assert part.read_bytes() == file.data[:100]
    part.unlink()
    machine.check(single, list(single.files))


def test_the_branch_moved_meanwhile(machine, hub, single):
    """The part of the old commit's file is not continued with the new one's bytes."""
    old = single.files["model.safetensors"]
    kill_midway(machine, hub, old.sha256)
    single.commit(single_file_model(SIZE, seed=8))
    machine.pull("acme/single")
    assert cache.present(machine.cache, single) == sorted(single.files)
    assert cache.wrong_bytes(machine.cache, single) == [] and cache.wrong_blobs(machine.cache) == []
