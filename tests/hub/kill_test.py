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
        while not self.stopped.wait(0.01):
            with self.looking:
                self.wrong += cache.wrong_bytes(self.machine.cache, self.repository)
            self.rounds += 1


@pytest.mark.parametrize("links", [True, False], ids=["links", "copies"])
def test_kill_9(machine, hub, links):
    repository = hub.add(Repository("acme/tiny", model_files(shard_bytes=1_500_000)))
    if not links:
        machine.set(HF_HUB_DISABLE_SYMLINKS=1)
    hub.rate = 6_000_000
    hub.fail("/", server="hub", times=None, wait=0.01)
    watcher = Watcher(machine, repository)
    watcher.start()
    moments = random.Random(5 + links)
    killed = finished = 0
    while killed < KILLS:
        with machine.start("model", "pull", "acme/tiny") as process:
            time.sleep(moments.uniform(0.0, 0.5))
            process.send_signal(signal.SIGKILL)
            process.communicate()
        killed += process.returncode == -signal.SIGKILL
        assert process.returncode in (0, -signal.SIGKILL)
        assert cache.wrong_bytes(machine.cache, repository) == []
        assert cache.wrong_blobs(machine.cache) == []
        if process.returncode == 0:  # done before its moment came: from the start again
            finished += 1
            machine.check(repository, WANTED)
            with watcher.looking:
                shutil.rmtree(machine.cache)
    machine.pull("acme/tiny")
    watcher.stopped.set()
    watcher.join()
    machine.check(repository, WANTED)
    assert watcher.wrong == [] and watcher.rounds > KILLS
    # Each start went on where the one before was killed: a whole model for each one that finished, and little more.
    whole = sum(len(repository.files[name].data) for name in WANTED)
    assert hub.sent() < (finished + 1) * whole + KILLS * 0.5 * whole, (hub.sent(), whole, finished)
