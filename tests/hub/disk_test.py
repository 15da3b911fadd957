"""A disk that is too small or full: told before anything is fetched, or survived."""

import os
import pathlib
import resource
import signal
import subprocess

import pytest

import cache
from clients import BOBBY, wait_until
from repository import Repository, single_file_model

SIZE = 3_000_000


class SmallDisk:
    """A file system of its own in memory, which commands see that run through `inside`."""

    def __init__(self, folder: pathlib.Path, size: int):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        script = f'mount -t tmpfs -o size={size} tmpfs "$1" && echo ready && exec sleep 1000'
        user = [] if os.geteuid() == 0 else ["-Ur"]
        self.process = subprocess.Popen(["unshare", *user, "-m", "sh", "-c", script, "sh", str(folder)],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            pytest.skip(f"no file system of a test's own here: {self.process.stderr.read().strip()}")
        self.inside = ["nsenter", "-t", str(self.process.pid), *(["-U", "--preserve-credentials"] if user else []), "-m"]

    @property
    def seen(self) -> pathlib.Path:
        """The folder as this process reaches it."""
        return pathlib.Path(f"/proc/{self.process.pid}/root{self.folder}")

    def close(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def disk(tmp_path):
    disk = SmallDisk(tmp_path / "disk", 6_000_000)
    yield disk
    disk.close()


def pull(machine, disk) -> subprocess.CompletedProcess:
    machine.set(HF_HUB_CACHE=disk.folder / "hub")
    return subprocess.run([*disk.inside, str(BOBBY), "model", "pull", "acme/single"], env=machine.environment,
                          capture_output=True, text=True, timeout=60)


def test_too_large(machine, hub, disk):
    repository = hub.add(Repository("acme/single", single_file_model(8_000_000)))
    result = pull(machine, disk)
    assert result.returncode == 1 and ("disk" in result.stderr or "space" in result.stderr), result.stderr
    assert not hub.asked(repository.files["model.safetensors"].sha256, "GET"), machine.requests()


def test_filled_by_another_meanwhile(machine, hub, disk):
    repository = hub.add(Repository("acme/single", single_file_model(SIZE)))
    sha256 = repository.files["model.safetensors"].sha256
    filler = disk.seen / "filler"

    def fill():
        with filler.open("wb") as file:
            try:
                while True:
                    file.write(b"x" * 4096)
                    file.flush()
            except OSError:
                pass

    hub.fail(sha256, server="content", method="GET", before=fill)
    result = pull(machine, disk)
    assert result.returncode == 1 and ("disk" in result.stderr or "space" in result.stderr), result.stderr
    seen = disk.seen / "hub"
    assert cache.wrong_bytes(seen, repository) == [] and cache.wrong_blobs(seen) == []
    assert "model.safetensors" not in cache.present(seen, repository)
    filler.unlink()
    result = pull(machine, disk)
    assert result.returncode == 0, result.stderr
    assert cache.present(seen, repository) == sorted(repository.files)
    assert cache.wrong_bytes(seen, repository) == [] and cache.leftovers(seen) == []


def test_a_part_counts_as_there(machine, hub, disk):
    """4 MB of 5 are there: the rest fits, though the whole would not a second time."""
    repository = hub.add(Repository("acme/single", single_file_model(5_000_000)))
    sha256 = repository.files["model.safetensors"].sha256
    hub.fail(sha256, server="content", method="GET", times=None, rate=4_000_000)
    machine.set(HF_HUB_CACHE=disk.folder / "hub")
    process = subprocess.Popen([*disk.inside, str(BOBBY), "model", "pull", "acme/single"], env=machine.environment,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: hub.sent(sha256) > 4_000_000, "the download runs")
    process.send_signal(signal.SIGKILL)
    process.wait()
    hub.forget()
    result = pull(machine, disk)
    assert result.returncode == 0, result.stderr
    assert cache.wrong_bytes(disk.seen / "hub", repository) == []


def test_a_file_may_not_grow(machine, hub):
    """A quota, or a file system with small files: an error of writing, with its reason."""
    repository = hub.add(Repository("acme/single", single_file_model(SIZE)))

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    message = machine.refused("model", "pull", "acme/single", preexec_fn=limit)
    assert "model.safetensors" in message or repository.files["model.safetensors"].sha256 in message
    assert cache.wrong_bytes(machine.cache, repository) == []
    machine.pull("acme/single")
    machine.check(repository, list(repository.files))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_may_not_be_written(machine, hub, tiny):
    machine.cache.mkdir(parents=True)
    machine.cache.chmod(0o555)
    assert str(machine.cache) in machine.refused("model", "pull", "acme/tiny")


def test_a_file_where_the_cache_should_be(machine, hub, tiny):
    machine.set(HF_HUB_CACHE=machine.home / "file")
    (machine.home / "file").write_text("not a folder")
    assert str(machine.home / "file") in machine.refused("model", "pull", "acme/tiny")


def test_a_cache_on_a_read_only_disk(machine, hub, tiny, disk):
    """What is cached is used where nothing can be written."""
    machine.set(HF_HUB_CACHE=disk.folder / "hub")
    pulled = [*disk.inside, str(BOBBY), "model", "pull", "acme/tiny"]
    options = dict(env=machine.environment, capture_output=True, text=True, timeout=60)
    assert subprocess.run(pulled, **options).returncode == 0
    subprocess.run([*disk.inside, "mount", "-o", "remount,ro", str(disk.folder)], check=True)
    hub.forget()
    result = subprocess.run(pulled, **options)
    assert result.returncode == 0, result.stderr
    assert not hub.log
