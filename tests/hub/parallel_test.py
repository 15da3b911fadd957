"""Large files come in parts over several connections; what goes wrong with one part is mended there."""

import re

import pytest

from repository import Repository, single_file_model

SIZE = 40_000_000


@pytest.fixture(scope="module")
def files():
    return single_file_model(SIZE)


@pytest.fixture
def large(hub, files) -> Repository:
    return hub.add(Repository("acme/large", files))


def sha256(repository: Repository) -> str:
    return repository.files["model.safetensors"].sha256


def size(repository: Repository) -> int:
    return len(repository.files["model.safetensors"].data)


def test_several_connections(machine, hub, large):
    hub.fail(sha256(large), server="content", method="GET", times=None, rate=20_000_000)
    machine.pull("acme/large")
    machine.check(large, list(large.files))
    requests = hub.asked(sha256(large), "GET")
    assert len({request.port for request in requests}) > 1, machine.requests()
    assert hub.sent(sha256(large)) == size(large), machine.requests()
    spans = [[int(number) for number in re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers["range"]).groups()]
             for request in requests]
    assert [begin for begin, _ in sorted(spans)] == [0] + [end + 1 for _, end in sorted(spans)][:-1]
    assert requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("fault", [dict(cut_after=1_000_000, cut_by_reset=False), dict(reset=True), dict(status=503), dict(status=429),
                                   dict(stall_after=500_000), dict(status=403)],
                         ids=lambda fault: next(iter(fault)) + str(fault.get("status", "")))
def test_one_part_fails(machine, hub, large, fault):
    hub.fail(sha256(large), server="content", method="GET", skip=2, **fault)
    machine.set(HF_HUB_DOWNLOAD_TIMEOUT=2).pull("acme/large")
    machine.check(large, list(large.files))
    assert hub.sent(sha256(large)) < 1.6 * size(large), machine.requests()


def test_one_part_is_wrong(machine, hub, large):
    hub.fail(sha256(large), server="content", method="GET", skip=1, corrupt_at=SIZE // 2, times=4)
    machine.run("model", "pull", "acme/large")
    machine.pull("acme/large")
    machine.check(large, list(large.files))


def test_the_file_changes_between_parts(machine, hub, large):
    hub.fail(sha256(large), server="content", method="GET", skip=2, times=2, headers={"ETag": '"another"'})
    machine.run("model", "pull", "acme/large")
    machine.pull("acme/large")
    machine.check(large, list(large.files))


def test_parts_are_refused_from_the_third_on(machine, hub, large):
    hub.fail(sha256(large), server="content", method="GET", ranged=True, skip=2, times=None, ignore_range=True)
    machine.run("model", "pull", "acme/large")
    hub.forget()
    machine.pull("acme/large")
    machine.check(large, list(large.files))
