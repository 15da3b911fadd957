"""kill -9 at random moments of a pull: no wrong byte is ever visible, and the next pull finishes."""

import random
import shutil
import signal
import threading
import time

import pytest

import cache
from repository import WANTED, Repository, model_files

KILLS = 20


class Watcher(threading.Thread):
    """Reads all that snapshots/ leads to, over and over, as another program might."""

    def __init__(self, machine, repository: Repository):
        super().__init__(daemon=True)
        self.machine = machine
        self.repository = repository
        self.wrong: list[str] = []
        self.rounds = 0
        self.stopped = threading.Event()
        self.looking = threading.Lock()  # held by the test while it empties the cache itself

    def run(self):
        while not self.stopped.wait(0.03):
            with self.looking:
                self.wrong += cache.wrong_bytes(self.machine.cache, self.repository)
            self.rounds += 1


def check(machine, repository: Repository) -> None:
    """All is there and nothing lies about, but what a kill leaves of a reference that had no name yet."""
    for path in (machine.cache / repository.folder / "refs").glob("main.*.tmp"):
        path.unlink()
    machine.check(repository, WANTED)


@pytest.mark.parametrize("links", [True, False], ids=["links", "copies"])
def test_kill_9(machine, hub, links):
    repository = hub.add(Repository("acme/tiny", model_files(shard_bytes=1_500_000)))
    if not links:
        machine.set(HF_HUB_DISABLE_SYMLINKS=1)
    hub.rate = 12_000_000
    hub.fail("/", server="hub", times=None, wait=0.01)
    watcher = Watcher(machine, repository)
    watcher.start()
    whole = sum(len(repository.files[name].data) for name in WANTED)
    moments = random.Random(5 + links)
    killed = midway = finished = 0
    while killed < KILLS:
        # Some time after it began, or after so many bytes of what is missing.
        sent = hub.sent()
        bytes_, seconds = moments.choice([(0, moments.uniform(0.0, 0.3)), (moments.uniform(0.0, 0.5 * whole), 0.0)])
        with machine.start("model", "pull", "acme/tiny") as process:
            while hub.sent() - sent < bytes_ and process.poll() is None:
                time.sleep(0.005)
            time.sleep(seconds)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        killed += process.returncode == -signal.SIGKILL
        midway += any(path.stat().st_size for path in machine.cache.glob("*/blobs/*.incomplete"))
        assert process.returncode in (0, -signal.SIGKILL)
        assert cache.wrong_bytes(machine.cache, repository) == []
        assert cache.wrong_blobs(machine.cache) == []
        if process.returncode == 0:  # done before its moment came: from the start again
            finished += 1
            check(machine, repository)
            with watcher.looking:
                shutil.rmtree(machine.cache)
    assert midway >= KILLS // 3  # of them while bytes of a file came
    machine.pull("acme/tiny")
    watcher.stopped.set()
    watcher.join()
    check(machine, repository)
    assert watcher.wrong == [] and watcher.rounds > KILLS
    # Each start went on where the one before was killed: a whole model for each one that finished, and little more.
    assert hub.sent() < (finished + 1) * whole + KILLS * 0.5 * whole, (hub.sent(), whole, finished)
