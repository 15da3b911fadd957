"""Several processes, one cache: each file is fetched once, and whoever dies is replaced."""

import signal

import pytest

import cache
from clients import official, wait_until
from repository import WANTED, Repository, model_files, single_file_model


@pytest.mark.parametrize("processes", [2, 5])
def test_each_file_once(machine, hub, processes):
    repository = hub.add(Repository("acme/tiny", model_files(shard_bytes=1_000_000)))
    hub.fail(server="content", method="GET", times=None, rate=3_000_000)
    running = [machine.start("model", "pull", "acme/tiny") for _ in range(processes)]
    for process in running:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    machine.check(repository, WANTED)
    for name in WANTED:
        file = repository.files[name]
        if file.lfs:
            assert hub.sent(file.sha256) == len(file.data), machine.requests()
        else:
            assert sum(request.sent for request in hub.asked("/" + name, "GET") if request.status == 200) == len(file.data)


def test_two_repositories_at_once(machine, hub):
    """The same file in both: each keeps its own."""
    first = hub.add(Repository("acme/one", model_files()))
    second = hub.add(Repository("acme/two", model_files()))
    hub.fail(server="content", method="GET", times=None, rate=1_000_000)
    running = [machine.start("model", "pull", name) for name in ("acme/one", "acme/two")]
    for process in running:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    machine.check(first, WANTED)
    machine.check(second, WANTED)


def test_the_one_that_waits_takes_over(machine, hub):
    repository = hub.add(Repository("acme/single", single_file_model(2_000_000)))
    sha256 = repository.files["model.safetensors"].sha256
    hub.fail(sha256, server="content", method="GET", times=1, rate=1_000_000)
    first = machine.start("model", "pull", "acme/single")
    wait_until(lambda: hub.sent(sha256) > 1_000_000, "the first downloads")
    second = machine.start("model", "pull", "acme/single")
    asked = len(hub.asked("/config.json")) + len(hub.asked("/api/models/"))
    wait_until(lambda: len(hub.asked("/config.json")) + len(hub.asked("/api/models/")) > asked or second.poll() is not None,
               "the second began")
    first.send_signal(signal.SIGKILL)
    first.communicate()
    _, err = second.communicate(timeout=60)
    assert second.returncode == 0, err
    machine.check(repository, list(repository.files))
    assert hub.sent(sha256) < 1.3 * len(repository.files["model.safetensors"].data), machine.requests()


def test_beside_the_other_library(machine, hub):
    repository = hub.add(Repository("acme/tiny", model_files(shard_bytes=1_000_000)))
    hub.fail(server="content", method="GET", times=None, rate=2_000_000)
    with machine.start("model", "pull", "acme/tiny") as process:
        official(machine, "hf.snapshot_download('acme/tiny', allow_patterns=json.loads(sys.argv[1]))",
                 str(WANTED).replace("'", '"'))
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    machine.check(repository, WANTED)
    for name in WANTED:
        if repository.files[name].lfs:
            assert hub.sent(repository.files[name].sha256) == len(repository.files[name].data), machine.requests()


def test_removed_while_it_is_pulled(machine, hub):
    """Either the removal waits or the pull begins again: what stays is whole or nothing."""
    repository = hub.add(Repository("acme/single", single_file_model(1_000_000)))
    sha256 = repository.files["model.safetensors"].sha256
    hub.fail(sha256, server="content", method="GET", times=None, rate=1_000_000)
    with machine.start("model", "pull", "acme/single") as process:
        wait_until(lambda: hub.sent(sha256) > 100_000, "the download runs")
        machine.run("model", "rm", "acme/single")
        process.communicate(timeout=60)
    assert cache.wrong_bytes(machine.cache, repository) == []
    hub.forget()
    machine.pull("acme/single")
    machine.check(repository, list(repository.files))
