"""Wrong bytes are found whatever way they come, never kept, and fetched once more."""

import pytest

import cache
from repository import WANTED, File, Repository, model_files, single_file_model

SHARD = "model-00001-of-00002.safetensors"
SMALL = "tokenizer_config.json"
SIZE = 200_000


def place(tiny: Repository, name: str) -> dict:
    file = tiny.files[name]
    return dict(path=file.sha256, server="content", method="GET") if file.lfs else dict(path="/" + name, server="hub", method="GET")


WRONG = {
    "corrupt at the start": dict(corrupt_at=0),
    "corrupt at the end": dict(corrupt_at=-1),
    "corrupt in the middle": dict(corrupt_at=7),
    "other bytes": dict(replace=b"<html>Please sign in</html>"),
    "nothing": dict(replace=b""),
    "longer": dict(replace=b"x" * (SIZE + 1000)),
    "compressed": dict(gzip=True),
}


def wrong(tiny: Repository, name: str, what: str) -> dict:
    fault = dict(WRONG[what])
    if fault.get("corrupt_at") == -1:
        fault["corrupt_at"] = len(tiny.files[name].data) - 1
    return fault


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("name", [SHARD, SMALL])
def test_once(machine, hub, tiny, name, what):
    hub.fail(**place(tiny, name), **wrong(tiny, name, what))
    machine.pull("acme/tiny")
    machine.check(tiny, WANTED)


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("name", [SHARD, SMALL])
def test_for_ever(machine, hub, tiny, name, what):
    hub.fail(**place(tiny, name), **wrong(tiny, name, what), times=None)
    assert name in machine.refused("model", "pull", "acme/tiny")
    assert name not in cache.present(machine.cache, tiny)
    assert cache.wrong_bytes(machine.cache, tiny) == []
    assert cache.wrong_blobs(machine.cache) == []
    assert hub.sent(tiny.files[SHARD].sha256) < 30 * SIZE
    hub.forget()
    machine.pull("acme/tiny")
    machine.check(tiny, WANTED)


def test_it_says_what_was_expected_and_found(machine, hub, tiny):
    hub.fail(**place(tiny, SHARD), corrupt_at=1000, times=None)
    message = machine.refused("model", "pull", "acme/tiny")
    assert SHARD in message and tiny.files[SHARD].sha256 in message


def test_one_retry(machine, hub, tiny):
    """Deleted, fetched once more, then an error: a person's line is not spent on a broken server."""
    hub.fail(**place(tiny, SHARD), corrupt_at=1000, times=None)
    machine.refused("model", "pull", "acme/tiny")
    assert hub.sent(tiny.files[SHARD].sha256) == 2 * len(tiny.files[SHARD].data)


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("after", [0, 1, 100_000, SIZE + 79])
def test_cut_off(machine, hub, tiny, after, reset):
    hub.fail(**place(tiny, SHARD), cut_after=after, cut_by_reset=reset)
    machine.pull("acme/tiny")
    machine.check(tiny, WANTED)


@pytest.mark.parametrize("by", [-1000, 1000])
def test_another_length_than_it_says(machine, hub, tiny, by):
    hub.fail(**place(tiny, SHARD), declare=by)
    machine.set(HF_HUB_DOWNLOAD_TIMEOUT=2).pull("acme/tiny")
    machine.check(tiny, WANTED)


def test_changed_on_the_hub_since_it_was_listed(machine, hub, tiny):
    """Branches move; a pull is of one commit."""
    first = tiny.head
    hub.fail(SHARD, server="hub", before=lambda: tiny.commit(model_files(seed=2)))
    machine.pull("acme/tiny")
    machine.check(tiny, WANTED, first)


def test_other_bytes_under_the_same_commit(machine, hub, tiny):
    """What must not happen to a commit: the content server's file is replaced in the middle of a download."""
    file = tiny.files[SHARD]
    hub.fail(**place(tiny, SHARD), cut_after=100_000, cut_by_reset=False)
    hub.fail(**place(tiny, SHARD), times=None, replace=b"z" * len(file.data), headers={"ETag": '"another"'})
    assert SHARD in machine.refused("model", "pull", "acme/tiny")
    assert cache.wrong_bytes(machine.cache, tiny) == []
    hub.forget()
    machine.pull("acme/tiny")
    machine.check(tiny, WANTED)


def test_a_blob_of_other_bytes_that_lay_there(machine, hub, tiny):
    """As another program would leave it after a crash: `verify` finds it, a pull does not read all bytes again."""
    file = tiny.files[SHARD]
    machine.pull("acme/tiny")
    blob = machine.cache / tiny.folder / "blobs" / file.sha256
    blob.write_bytes(file.data[:-1] + b"?")
    result = machine.run("model", "verify", "acme/tiny")
    assert result.returncode == 1 and SHARD in result.stdout + result.stderr


def test_git_hash_and_size_zero(machine, hub):
    files = single_file_model(5000) | {"chat_template.jinja": File(b"")}
    repository = hub.add(Repository("acme/empty", files))
    hub.fail("/chat_template.jinja", server="hub", method="GET", replace=b"not empty")
    machine.pull("acme/empty")
    machine.check(repository, list(files))
