"""What is not there, and what a hostile or broken hub says: one sentence, no harm, no endless wait."""

import json

import pytest

import cache
from repository import File, Repository, model_files, single_file_model

SHARD = "model-00001-of-00002.safetensors"


def nothing_outside(machine) -> None:
    """No file anywhere but in the repository's own folders of the cache."""
    for path in machine.home.rglob("*"):
        inside = path.relative_to(machine.home).as_posix()
        assert path.is_dir() or "models--" in inside or inside.endswith("CACHEDIR.TAG"), inside
        assert "evil" not in path.name


def test_no_such_repository(machine, hub):
    message = machine.refused("model", "pull", "acme/nothing")
    assert "acme/nothing" in message
    assert len(hub.log) <= 2 and not list(machine.cache.glob("models--*"))


def test_no_such_revision(machine, hub, tiny):
    message = machine.refused("model", "pull", "acme/tiny@v9")
    assert "acme/tiny" in message and "v9" in message
    assert len(hub.log) <= 2 and cache.present(machine.cache, tiny) == []


def test_disabled(machine, hub):
    hub.add(Repository("acme/tiny", model_files(), disabled=True))
    message = machine.refused("model", "pull", "acme/tiny")
    assert "disabled" in message and len(hub.log) <= 2


@pytest.mark.parametrize("name", ["acme", "acme/", "/acme", "acme/tiny/more", "../evil", "acme/..", "acme/ti ny",
                                  "acme/tiny@", "acme/tiny@../../evil", "acme/tiny@/evil", "acme/ti--ny", "-acme/tiny",
                                  "acme/tiny?x=1", "acme/tiny#x", "acme/t%2e", "http://127.0.0.1/acme/tiny", "acme\n/tiny",
                                  "a" * 97 + "/tiny", "acme/tiny.git", "datasets/acme/tiny"])
def test_names_that_are_none(machine, hub, tiny, name):
    assert machine.run("model", "pull", *(["--"] if name.startswith("-") else []), name).returncode == 2
    assert not hub.log
    nothing_outside(machine)


@pytest.mark.parametrize("path", ["../evil.safetensors", "/tmp/evil.safetensors", "a/../../evil.safetensors", "..", "",
                                  "a//evil.safetensors", "evil\n.safetensors", "evil\0.safetensors", "a\\..\\evil.safetensors",
                                  "./evil.safetensors", "C:evil.safetensors", "evil/" * 2000 + "x.safetensors",
                                  "model.safetensors/evil.safetensors"], ids=lambda path: ascii(path[:30]))
def test_hostile_file_names(machine, hub, path):
    files = single_file_model(5000) | {path: File(b"evil", lfs=True)}
    hub.add(Repository("acme/hostile", files))
    machine.run("model", "pull", "acme/hostile")  # refused or left out
    nothing_outside(machine)


@pytest.mark.parametrize("shard", ["../evil.safetensors", "/tmp/evil.safetensors", "evil/../../../evil.safetensors", 7, None])
def test_hostile_index(machine, hub, shard):
    files = model_files() | {"model.safetensors.index.json": File(json.dumps({"weight_map": {"w": shard}}).encode())}
    hub.add(Repository("acme/hostile", files))
    message = machine.refused("model", "pull", "acme/hostile")
    assert "model.safetensors.index.json" in message
    nothing_outside(machine)


def test_index_names_a_file_that_is_not_there(machine, hub):
    files = model_files() | {"model.safetensors.index.json": File(b'{"weight_map": {"w": "model-9.safetensors"}}')}
    hub.add(Repository("acme/odd", files))
    assert "model-9.safetensors" in machine.refused("model", "pull", "acme/odd")


@pytest.mark.parametrize("sha", ["../../evil", "main", "", None, 7, "g" * 40, "a" * 39, "A" * 40])
def test_hostile_commit(machine, hub, tiny, sha):
    info = {"sha": sha, "siblings": [{"rfilename": name} for name in tiny.files]}
    hub.fail("/api/models/", times=None, replace=json.dumps(info).encode(), headers={"X-Repo-Commit": str(sha)})
    machine.refused("model", "pull", "acme/tiny")
    nothing_outside(machine)


@pytest.mark.parametrize("etag", ['"../../evil"', '"evil/evil"', '""', None, '"' + "a" * 5000 + '"', '"' + "a" * 63 + '"',
                                  '"evil.incomplete"'])
def test_hostile_etag(machine, hub, tiny, etag):
    hub.fail(SHARD, times=None, headers={"X-Linked-ETag": etag, "ETag": etag})
    machine.refused("model", "pull", "acme/tiny")
    nothing_outside(machine)
    assert SHARD not in cache.present(machine.cache, tiny)


@pytest.mark.parametrize("size", ["-1", "18446744073709551616", "99999999999999999999999", "1e9", "0x10", "", "12 34"])
def test_hostile_size(machine, hub, tiny, size):
    hub.fail(SHARD, server="hub", times=None, headers={"X-Linked-Size": size})
    machine.run("model", "pull", "acme/tiny")  # refused, or known from elsewhere
    assert cache.wrong_bytes(machine.cache, tiny) == []


def test_sizes_that_do_not_agree(machine, hub, tiny):
    hub.fail(SHARD, server="hub", times=None, headers={"X-Linked-Size": str(len(tiny.files[SHARD].data) + 1)})
    machine.run("model", "pull", "acme/tiny")
    assert cache.wrong_bytes(machine.cache, tiny) == []
    assert cache.wrong_blobs(machine.cache) == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"sha": 1}', b"<html>Sign in to the Wi-Fi</html>", b"\xff\xfe",
                                  b'{"a":' * 100_000, b"[" * 2_000_000, b'{"siblings": {}}', b" " * 20_000_000],
                         ids=lambda body: ascii(body[:20]))
def test_listings_that_are_none(machine, hub, tiny, body):
    hub.fail("/api/models/", times=None, replace=body)
    message = machine.refused("model", "pull", "acme/tiny", timeout=30)
    assert hub.url in message or "acme/tiny" in message
    assert cache.present(machine.cache, tiny) == []


def test_many_files(machine, hub):
    files = single_file_model(5000) | {f"folder/{number}.txt": File(b"%d" % number) for number in range(5000)}
    repository = hub.add(Repository("acme/many", files))
    hub.page = 100
    machine.pull("acme/many")
    machine.check(repository, ["config.json", "tokenizer.json", "model.safetensors"])


def test_no_weights(machine, hub):
    """Only what could run code on loading: refused before anything is fetched."""
    files = {"config.json": File(b"{}"), "pytorch_model.bin": File(b"evil" * 100, lfs=True)}
    hub.add(Repository("acme/pickle", files))
    assert "safetensors" in machine.refused("model", "pull", "acme/pickle")
    assert not hub.asked(server="content")


def test_an_answer_without_its_commit(machine, hub, tiny):
    """Not a hub, or something in between that takes headers out."""
    hub.fail("/", server="hub", times=None, headers={"X-Repo-Commit": None})
    machine.run("model", "pull", "acme/tiny")
    assert cache.wrong_bytes(machine.cache, tiny) == []


def test_an_answer_of_another_commit(machine, hub, tiny):
    hub.fail(SHARD, server="hub", times=None, headers={"X-Repo-Commit": "f" * 40})
    machine.run("model", "pull", "acme/tiny")
    assert cache.wrong_bytes(machine.cache, tiny) == []
    assert not cache.snapshot(machine.cache, tiny, "f" * 40).exists()


# Redirects.

@pytest.mark.parametrize("path", ["/config.json", SHARD, "/api/models/"])
def test_a_loop(machine, hub, tiny, path):
    hub.fail(path, server="hub", times=None, status=302, headers={"Location": f"{hub.url}/loop{path}"})
    message = machine.refused("model", "pull", "acme/tiny", timeout=30)
    assert "redirect" in message
    assert len(hub.log) < 60


@pytest.mark.parametrize("location", ["http://192.0.2.1/evil", "file:///etc/passwd", "ftp://127.0.0.1/evil", "gopher://127.0.0.1:1/",
                                      "http://", "//192.0.2.1/evil", "javascript:1", "http://127.0.0.1.evil.example/x",
                                      "http://localhost@192.0.2.1/evil", "\\\\192.0.2.1\\evil", ""])
@pytest.mark.parametrize("path", ["/config.json", SHARD])
def test_redirects_that_are_refused(machine, hub, tiny, path, location):
    hub.fail(path, server="hub", times=None, status=302, headers={
        "Location": location, "X-Repo-Commit": tiny.head, "X-Linked-Size": "5", "X-Linked-ETag": f'"{"a" * 64}"'})
    machine.refused("model", "pull", "acme/tiny", timeout=5)
    assert cache.wrong_bytes(machine.cache, tiny) == []
    nothing_outside(machine)


def test_a_redirect_without_an_address(machine, hub, tiny):
    hub.fail(SHARD, server="hub", times=None, headers={"Location": None})
    machine.refused("model", "pull", "acme/tiny", timeout=30)
    assert cache.wrong_bytes(machine.cache, tiny) == []


def test_a_renamed_repository(machine, hub, tiny):
    """Kept under the name that was asked for, as huggingface_hub does."""
    little = hub.add(Repository("acme/little", model_files()))
    hub.renamed["acme/old"] = "acme/little"
    machine.pull("acme/old")
    folder = machine.cache / "models--acme--old" / "snapshots" / little.head
    assert {path.name for path in folder.iterdir()} >= {"config.json", SHARD}
    hub.forget()
    machine.pull("acme/old")
    assert not hub.log
