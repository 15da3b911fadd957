"""What passes is tried again, as long as the server asks and no longer than a person waits."""

import email.utils
import time

import pytest

import cache
from repository import WANTED

SHARD = "model-00001-of-00002.safetensors"
PLACES = {"listing": dict(path="/api/models/", server="hub"), "head": dict(path=SHARD, server="hub"),
          "content": dict(path="/repos/", server="content"), "small": dict(path="/config.json", server="hub")}


def gap(requests) -> float:
    """Seconds between a request and the next."""
    return requests[1].at - requests[0].at


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_once(machine, hub, tiny, status, place):
    hub.fail(**PLACES[place], status=status)
    machine.pull("acme/tiny")
    machine.check(tiny, WANTED)


@pytest.mark.parametrize("place", PLACES)
def test_a_connection_that_breaks(machine, hub, tiny, place):
    hub.fail(**PLACES[place], reset=True, times=2)
    machine.pull("acme/tiny")
    machine.check(tiny, WANTED)


@pytest.mark.parametrize("status", [429, 503])
def test_as_late_as_it_asks(machine, hub, tiny, status):
    hub.fail(tiny.files[SHARD].sha256, server="content", status=status, headers={"Retry-After": "2"})
    machine.pull("acme/tiny")
    machine.check(tiny, WANTED)
    assert gap(hub.asked(tiny.files[SHARD].sha256, "GET")) >= 1.9


def test_a_date_to_come_back_at(machine, hub, tiny):
    hub.fail("/api/models/", status=429, headers={"Retry-After": email.utils.formatdate(time.time() + 3, usegmt=True)})
    machine.pull("acme/tiny")
    machine.check(tiny, WANTED)
    assert gap(hub.asked("/api/models/")) >= 1


@pytest.mark.parametrize("text", ["soon", "-5", "99999999999999999999", "", "1.5"])
def test_retry_after_that_is_none(machine, hub, tiny, text):
    hub.fail("/api/models/", status=429, headers={"Retry-After": text})
    machine.run("model", "pull", "acme/tiny", timeout=30)
    assert cache.wrong_bytes(machine.cache, tiny) == []


def test_longer_than_anybody_waits(machine, hub, tiny):
    hub.fail("/api/models/", times=None, status=429, headers={"Retry-After": "86400"})
    begin = time.monotonic()
    message = machine.refused("model", "pull", "acme/tiny")
    assert time.monotonic() - begin < 5 and "86400 seconds" in message
    assert len(hub.log) == 1


@pytest.mark.parametrize("place", ["listing", "head", "content"])
def test_for_ever(machine, hub, tiny, place):
    hub.fail(**PLACES[place], times=None, status=503)
    begin = time.monotonic()
    assert "503" in machine.refused("model", "pull", "acme/tiny")
    assert time.monotonic() - begin < 60
    assert 2 <= len([request for request in hub.log if request.status == 503]) <= 30
    assert cache.wrong_bytes(machine.cache, tiny) == []
    hub.forget()
    machine.pull("acme/tiny")
    machine.check(tiny, WANTED)


def test_waits_grow(machine, hub, tiny):
    hub.fail("/api/models/", times=3, status=503)
    machine.pull("acme/tiny")
    asked = [request.at for request in hub.asked("/api/models/")][:4]
    waits = [later - earlier for earlier, later in zip(asked, asked[1:])]
    assert waits[2] > waits[0] > 0.1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 451, 501])
def test_what_does_not_pass_is_asked_once(machine, hub, tiny, status):
    hub.fail("/api/models/", times=None, status=status)
    machine.refused("model", "pull", "acme/tiny")
    assert len(hub.log) == 1


def test_nobody_there(machine, hub, tiny):
    hub.hub_server.shutdown()
    hub.hub_server.server_close()
    begin = time.monotonic()
    assert "acme/tiny" in machine.refused("model", "pull", "acme/tiny")
    assert time.monotonic() - begin < 60


def test_nobody_there_but_all_is_cached(machine, hub, tiny):
    machine.pull("acme/tiny")
    hub.hub_server.shutdown()
    hub.hub_server.server_close()
    begin = time.monotonic()
    machine.pull("acme/tiny")
    assert time.monotonic() - begin < 2


def test_a_name_without_an_address(machine):
    message = machine.set(HF_ENDPOINT="https://hub.invalid").refused("model", "pull", "acme/tiny", timeout=60)
    assert "hub.invalid" in message
