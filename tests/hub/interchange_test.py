"""One cache for two clients: each reads what the other left, and goes on where it stopped."""

import fcntl
import json
import os
import shutil

import cache
from clients import official, wait_until
from repository import UNWANTED, WANTED, Repository, single_file_model

SNAPSHOT = "result = hf.snapshot_download('acme/tiny', **json.loads(sys.argv[1] if len(sys.argv) > 1 else '{}'))"
SHARD = "model-00001-of-00002.safetensors"


def test_offline_it_finds_what_we_left(machine, hub, tiny):
    machine.pull("acme/tiny")
    hub.forget()
    machine.set(HF_HUB_OFFLINE=1)
    found = official(machine, "result = [hf.hf_hub_download('acme/tiny', name) for name in json.loads(sys.argv[1])]",
                     json.dumps(WANTED))
    assert [os.path.basename(path) for path in found] == WANTED
    assert official(machine, SNAPSHOT) == str(cache.snapshot(machine.cache, tiny))
    assert official(machine, "result = hf.try_to_load_from_cache('acme/tiny', 'config.json')").endswith("/config.json")
    assert not hub.log


def test_online_it_fetches_only_the_rest(machine, hub, tiny):
    machine.pull("acme/tiny")
    hub.forget()
    official(machine, SNAPSHOT)
    assert cache.present(machine.cache, tiny) == sorted(WANTED + UNWANTED)
    assert cache.wrong_bytes(machine.cache, tiny) == []
    fetched = {request.path.rpartition("/")[2] for request in hub.asked(method="GET", server="content")}
    assert not fetched & {tiny.files[name].etag for name in WANTED}


def test_its_scan_and_check_find_nothing_wrong(machine, tiny):
    machine.pull("acme/tiny")
    scan = official(machine, "found = hf.scan_cache_dir()\nresult = [[str(warning) for warning in found.warnings], "
                             "[[repo.repo_id, repo.nb_files, repo.size_on_disk, [sorted(r.refs) for r in repo.revisions]] for repo in found.repos], "
                             "len(found.incomplete_files)]")
    size = sum(len(tiny.files[name].data) for name in WANTED)
    assert scan == [[], [["acme/tiny", len(WANTED), size, [["main"]]]], 0]
    check = official(machine, "found = hf.HfApi().verify_repo_checksums('acme/tiny')\nresult = [found.checked_count, found.mismatches]")
    assert check == [len(WANTED), []]


def test_it_deletes_what_we_left(machine, tiny):
    machine.pull("acme/tiny")
    official(machine, "hf.scan_cache_dir().delete_revisions(sys.argv[1]).execute()", tiny.head)
    assert not (machine.cache / tiny.folder).exists()
    machine.pull("acme/tiny")
    machine.check(tiny, WANTED)


def test_we_read_what_it_left(machine, hub, tiny):
    official(machine, SNAPSHOT)
    before = cache.listing(machine.cache)
    hub.forget()
    machine.pull("acme/tiny")
    machine.pull("acme/tiny", "--offline")
    assert not hub.log
    assert cache.listing(machine.cache) == before
    assert "acme/tiny" in machine.succeed("model", "list").stdout


def test_we_go_on_where_it_stopped(machine, hub, tiny):
    official(machine, "for name in ('config.json', 'tokenizer.json', sys.argv[1]): hf.hf_hub_download('acme/tiny', name)", SHARD)
    hub.forget()
    machine.pull("acme/tiny")
    machine.check(tiny, WANTED)
    assert not hub.asked(tiny.files[SHARD].sha256, "GET") and not hub.asked(tiny.files["tokenizer.json"].sha256, "GET")


def test_without_links_we_read_what_it_left(machine, hub, tiny):
    machine.set(HF_HUB_DISABLE_SYMLINKS=1)
    official(machine, SNAPSHOT)
    before = cache.listing(machine.cache)
    hub.forget()
    machine.pull("acme/tiny")
    assert not hub.log and cache.listing(machine.cache) == before


def test_a_snapshot_of_links_that_lead_nowhere_is_mended(machine, hub, tiny):
    official(machine, SNAPSHOT)
    (machine.cache / tiny.folder / "blobs" / tiny.files[SHARD].sha256).unlink()
    machine.pull("acme/tiny")
    assert cache.wrong_bytes(machine.cache, tiny) == []


def test_its_shared_store(machine, hub, tiny):
    """Since 2026 a blob may be a link into a store of all repositories."""
    official(machine, SNAPSHOT)
    file = tiny.files[SHARD]
    assert official(machine, "from huggingface_hub.utils._shared_blobs import publish_blob_to_shared_store\n"
                             "result = publish_blob_to_shared_store(blob_path=sys.argv[1], xet_hash=sys.argv[2], "
                             "cache_dir=sys.argv[4], expected_size=int(sys.argv[3]))",
                    machine.cache / tiny.folder / "blobs" / file.sha256, file.sha256, len(file.data), machine.cache)
    blob = machine.cache / tiny.folder / "blobs" / file.sha256
    assert blob.is_symlink()
    before = cache.listing(machine.cache)
    hub.forget()
    machine.pull("acme/tiny")
    assert not hub.log and cache.listing(machine.cache) == before
    assert machine.succeed("model", "list").stdout.count("acme/tiny") == 1
    machine.succeed("model", "rm", "acme/tiny")
    assert not (machine.cache / tiny.folder).exists()
    assert (machine.cache / "blobs" / file.sha256[:2] / file.sha256).read_bytes() == file.data  # perhaps another's


def test_it_reads_a_second_commit_of_ours(machine, hub, tiny):
    machine.pull("acme/tiny")
    first = tiny.head
    tiny.commit(dict(tiny.files) | {"config.json": tiny.files["tokenizer_config.json"]})
    machine.pull("acme/tiny", "--update")
    machine.set(HF_HUB_OFFLINE=1)
    for revision, commit in (("main", tiny.head), (first, first)):
        arguments = json.dumps({"revision": revision})
        assert official(machine, SNAPSHOT, arguments) == str(cache.snapshot(machine.cache, tiny, commit))


def test_a_reference_with_a_line_end(machine, hub, tiny):
    """Other tools end the line; huggingface_hub does not."""
    machine.pull("acme/tiny")
    reference = machine.cache / tiny.folder / "refs/main"
    reference.write_text(tiny.head + "\n")
    hub.forget()
    machine.pull("acme/tiny")
    assert not hub.log


def test_its_lock_is_waited_for(machine, hub):
    repository = hub.add(Repository("acme/single", single_file_model(100_000)))
    file = repository.files["model.safetensors"]
    lock = machine.cache / ".locks" / repository.folder / f"{file.sha256}.lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # as filelock does
        with machine.start("model", "pull", "acme/single") as process:
            wait_until(lambda: hub.asked("/config.json"), "the pull began")
            try:
                process.wait(1.5)
            except Exception:
                pass
            assert process.poll() is None and not hub.asked(file.sha256, "GET"), machine.requests()
            # Whoever held it has fetched the file meanwhile.
            blob = machine.cache / repository.folder / "blobs" / file.sha256
            blob.parent.mkdir(parents=True, exist_ok=True)
            blob.write_bytes(file.data)
            fcntl.flock(held, fcntl.LOCK_UN)
            assert process.wait(20) == 0, process.stderr.read()
    assert not hub.asked(file.sha256, "GET")
    machine.check(repository, list(repository.files))


def test_it_waits_for_our_lock(machine, hub):
    repository = hub.add(Repository("acme/single", single_file_model(200_000)))
    sha256 = repository.files["model.safetensors"].sha256
    hub.fail(sha256, method="GET", server="content", times=None, rate=100_000)
    with machine.start("model", "pull", "acme/single") as process:
        wait_until(lambda: hub.sent(sha256) > 10_000, "the download runs")
        official(machine, "result = hf.hf_hub_download('acme/single', 'model.safetensors')")
        assert process.wait(20) == 0
    assert hub.sent(sha256) == len(repository.files["model.safetensors"].data), machine.requests()
    machine.check(repository, list(repository.files))


def test_a_cache_that_was_moved(machine, hub, tiny):
    machine.pull("acme/tiny")
    moved = machine.home / "moved"
    shutil.move(machine.cache, moved)
    machine.set(HF_HUB_CACHE=moved)
    hub.forget()
    machine.pull("acme/tiny")
    assert not hub.log and official(machine.set(HF_HUB_OFFLINE=1), SNAPSHOT).startswith(str(moved))
