"""list, rm, verify; and when a cached revision is replaced."""

import json
import shutil

import pytest

import cache
from clients import ROOT, wait_until
from repository import WANTED, File, Repository, model_files

SHARD = "model-00001-of-00002.safetensors"
MODEL = ROOT / "tests/parity/models/qwen3-4bit-g32/model"


@pytest.fixture
def real(hub) -> Repository:
    """A model that loads."""
    files = {path.name: File(path.read_bytes(), lfs=path.suffix == ".safetensors") for path in MODEL.iterdir()}
    return hub.add(Repository("acme/real", files))


def listed(machine) -> list[dict]:
    return [json.loads(line) for line in machine.succeed("model", "list", "--json").stdout.splitlines()]


def test_list(machine, hub, tiny):
    assert machine.succeed("model", "list", "--json").stdout.strip() in ("", "[]", '{"models": []}', '{"models":[]}')
    machine.pull("acme/tiny")
    hub.add(Repository("acme/other", model_files(seed=3)))
    machine.pull("acme/other")
    hub.forget()
    text = machine.succeed("model", "list").stdout
    assert "acme/tiny" in text and "acme/other" in text and tiny.head[:7] in text
    assert "acme/tiny" in machine.succeed("model", "list", "--json").stdout
    assert all(isinstance(line, (dict, list)) for line in listed(machine))
    assert not hub.log


def test_list_passes_over_what_it_does_not_know(machine, tiny):
    machine.pull("acme/tiny")
    for name in ("datasets--acme--texts", "models--", "models--acme--broken", "something", "blobs"):
        (machine.cache / name).mkdir()
    (machine.cache / "version.txt").write_text("1")
    (machine.cache / "models--acme--file").write_text("")
    (machine.cache / tiny.folder / "snapshots/.DS_Store").write_text("")
    text = machine.succeed("model", "list").stdout
    assert "acme/tiny" in text and "something" not in text and "texts" not in text


def test_rm(machine, hub, tiny):
    other = hub.add(Repository("acme/other", model_files(seed=3)))
    machine.pull("acme/tiny")
    machine.pull("acme/other")
    machine.succeed("model", "rm", "acme/tiny")
    assert not (machine.cache / tiny.folder).exists()
    machine.check(other, WANTED)
    assert "acme/tiny" in machine.refused("model", "rm", "acme/tiny")
    machine.pull("acme/tiny")
    machine.check(tiny, WANTED)


def test_rm_of_a_revision(machine, tiny):
    first = tiny.head
    machine.pull("acme/tiny")
    second = tiny.commit(dict(tiny.files) | {"config.json": File(b"{}")}, ref="v2")
    machine.pull("acme/tiny@v2")
    machine.succeed("model", "rm", "acme/tiny@v2")
    assert cache.present(machine.cache, tiny, second) == []
    assert cache.present(machine.cache, tiny, first) == sorted(WANTED)
    assert cache.wrong_bytes(machine.cache, tiny) == []


@pytest.mark.parametrize("name", ["acme/..", "../evil", "acme/nothing", "acme/tiny@../..", "acme", "acme/tiny@v9"])
def test_rm_of_what_is_not_there(machine, tiny, name):
    machine.pull("acme/tiny")
    machine.refused("model", "rm", name)
    machine.check(tiny, WANTED)


def test_rm_does_not_follow_links(machine, tiny):
    machine.pull("acme/tiny")
    elsewhere = machine.home / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "keep").write_text("keep")
    (machine.cache / tiny.folder / "snapshots/linked").symlink_to(elsewhere)
    (machine.cache / tiny.folder / "blobs/linked").symlink_to(elsewhere / "keep")
    machine.succeed("model", "rm", "acme/tiny")
    assert (elsewhere / "keep").read_text() == "keep"


@pytest.mark.parametrize("target", ["../../blobs/", "../../blobs/..", "..", ".", "../../../..", "../../snapshots"])
def test_rm_of_a_revision_with_odd_links(machine, tiny, target):
    """Only a link to a blob has a blob that goes with it."""
    machine.pull("acme/tiny")
    first = tiny.head
    second = tiny.commit(dict(tiny.files) | {"config.json": File(b"{}")}, ref="v2")
    machine.pull("acme/tiny@v2")
    (cache.snapshot(machine.cache, tiny, second) / "odd").symlink_to(target)
    machine.run("model", "rm", "acme/tiny@v2")
    assert cache.present(machine.cache, tiny, first) == sorted(WANTED)
    assert cache.wrong_blobs(machine.cache) == []
    assert all((cache.snapshot(machine.cache, tiny, first) / name).exists() for name in WANTED)


def test_rm_of_what_is_being_pulled(machine, hub, tiny):
    hub.fail(tiny.files[SHARD].sha256, server="content", method="GET", times=None, rate=100_000)
    with machine.start("model", "pull", "acme/tiny") as process:
        wait_until(lambda: hub.sent(tiny.files[SHARD].sha256) > 10_000, "the download runs")
        assert "acme--tiny" in machine.refused("model", "rm", "acme/tiny")
        process.communicate(timeout=60)
        assert process.returncode == 0
    machine.check(tiny, WANTED)


def test_verify(machine, hub, real):
    machine.pull("acme/real")
    hub.forget()
    machine.succeed("model", "verify", "acme/real")
    assert not hub.log


@pytest.mark.parametrize("name", ["model-00001-of-00002.safetensors", "config.json"])
def test_verify_finds_a_wrong_byte(machine, real, name):
    machine.pull("acme/real")
    blob = machine.cache / real.folder / "blobs" / real.files[name].etag
    data = bytearray(blob.read_bytes())
    data[-2] ^= 1
    blob.write_bytes(data)
    result = machine.run("model", "verify", "acme/real")
    assert result.returncode == 1 and name in result.stdout + result.stderr


def test_verify_finds_a_link_that_leads_nowhere(machine, real):
    machine.pull("acme/real")
    (machine.cache / real.folder / "blobs" / real.files["model-00001-of-00002.safetensors"].etag).unlink()
    result = machine.run("model", "verify", "acme/real")
    assert result.returncode == 1 and "model-00001-of-00002.safetensors" in result.stdout + result.stderr


def test_a_cached_revision_stays(machine, hub, tiny):
    """Never replaced unless asked: no request at all when everything is there."""
    first = tiny.head
    machine.pull("acme/tiny")
    tiny.commit(model_files(seed=2))
    hub.forget()
    machine.pull("acme/tiny")
    assert not hub.log
    assert (machine.cache / tiny.folder / "refs/main").read_text() == first


def test_update(machine, hub, tiny):
    first = tiny.head
    machine.pull("acme/tiny")
    second = tiny.commit(model_files(seed=2))
    machine.pull("acme/tiny", "--update")
    assert (machine.cache / tiny.folder / "refs/main").read_text() == second
    machine.check(tiny, WANTED, second)
    machine.check(tiny, WANTED, first)
    hub.forget()
    machine.pull("acme/tiny", "--update")
    assert not hub.asked(server="content", method="GET") and (machine.cache / tiny.folder / "refs/main").read_text() == second


def test_an_update_that_fails_keeps_the_old(machine, hub, tiny):
    first = tiny.head
    machine.pull("acme/tiny")
    tiny.commit(model_files(seed=2))
    hub.fail(tiny.files[SHARD].sha256, server="content", times=None, status=404)
    machine.refused("model", "pull", "acme/tiny", "--update")
    hub.forget()
    machine.pull("acme/tiny", "--offline")
    assert (machine.cache / tiny.folder / "refs/main").read_text() == first
    assert cache.present(machine.cache, tiny, first) == sorted(WANTED)
    assert cache.wrong_bytes(machine.cache, tiny) == []


def test_update_offline(machine, hub, tiny):
    machine.pull("acme/tiny")
    hub.forget()
    assert "offline" in machine.refused("model", "pull", "acme/tiny", "--update", "--offline")
    assert not hub.log


def test_a_file_that_was_removed_comes_back(machine, hub, tiny):
    machine.pull("acme/tiny")
    (cache.snapshot(machine.cache, tiny) / "config.json").unlink()
    shutil.rmtree(machine.cache / ".locks")
    machine.pull("acme/tiny")
    machine.check(tiny, WANTED)
