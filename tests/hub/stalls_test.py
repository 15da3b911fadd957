"""Silence is not waited for without end; slowness is."""

import time

import pytest

import cache
from repository import WANTED, Repository, single_file_model

SHARD = "model-00001-of-00002.safetensors"


@pytest.mark.parametrize("after", [0, 100_000])
def test_a_body_that_stops(machine, hub, tiny, after):
    hub.fail(tiny.files[SHARD].sha256, server="content", method="GET", stall_after=after)
    begin = time.monotonic()
    machine.set(HF_HUB_DOWNLOAD_TIMEOUT=1).pull("acme/tiny")
    assert time.monotonic() - begin < 10
    machine.check(tiny, WANTED)
    assert hub.sent(tiny.files[SHARD].sha256) < 1.2 * len(tiny.files[SHARD].data)


def test_a_body_that_always_stops(machine, hub, tiny):
    hub.fail(tiny.files[SHARD].sha256, server="content", method="GET", times=None, stall_after=0)
    begin = time.monotonic()
    machine.set(HF_HUB_DOWNLOAD_TIMEOUT=1)
    assert SHARD in machine.refused("model", "pull", "acme/tiny")
    assert time.monotonic() - begin < 45
    assert cache.wrong_bytes(machine.cache, tiny) == []


@pytest.mark.parametrize("path", ["/api/models/", SHARD, "/config.json"])
def test_an_answer_that_does_not_begin(machine, hub, tiny, path):
    hub.fail(path, server="hub", wait=30)
    begin = time.monotonic()
    machine.set(HF_HUB_ETAG_TIMEOUT=1, HF_HUB_DOWNLOAD_TIMEOUT=1).pull("acme/tiny")
    assert time.monotonic() - begin < 10
    machine.check(tiny, WANTED)


def test_slow_but_steady(machine, hub):
    """Longer than the time-out in all, but never silent for as long."""
    repository = hub.add(Repository("acme/slow", single_file_model(120_000)))
    hub.fail(repository.files["model.safetensors"].sha256, server="content", method="GET", times=None, rate=40_000)
    begin = time.monotonic()
    machine.set(HF_HUB_DOWNLOAD_TIMEOUT=1).pull("acme/slow")
    assert time.monotonic() - begin > 1.2
    machine.check(repository, list(repository.files))
    assert hub.sent(repository.files["model.safetensors"].sha256) == len(repository.files["model.safetensors"].data)


@pytest.mark.parametrize("value", ["", "0", "-1", "soon", "1e9"])
def test_time_outs_that_are_none(machine, hub, tiny, value):
    """Said, or taken for the usual ten seconds; never for none at all."""
    result = machine.set(HF_HUB_DOWNLOAD_TIMEOUT=value, HF_HUB_ETAG_TIMEOUT=value).run("model", "pull", "acme/tiny")
    assert result.returncode == 0 or "HF_HUB_" in result.stderr
