"""What a pull leaves, byte for byte as huggingface_hub's own library leaves it."""

import json

import pytest

import cache
from clients import Machine, official
from repository import WANTED, File, Repository, model_files, single_file_model

FILES = """
for name in json.loads(sys.argv[2]):
    try:
        hf.hf_hub_download(sys.argv[1], name, revision=sys.argv[3] or None)
    except hf.errors.EntryNotFoundError:
        pass
"""


@pytest.fixture
def other(tmp_path, hub) -> Machine:
    """The machine on which huggingface_hub does the same."""
    return Machine(tmp_path / "other", hub)


def fetch(machine: Machine, name: str, files: list[str], revision: str = "") -> None:
    official(machine, FILES, name, json.dumps(files), revision)


def assert_same(machine: Machine, other: Machine) -> None:
    assert cache.named(cache.listing(machine.cache)) == cache.named(cache.listing(other.cache))


def test_only_what_is_needed(machine, hub, tiny):
    machine.pull("acme/tiny")
    machine.check(tiny, WANTED)
    assert hub.sent() < sum(len(tiny.files[name].data) for name in WANTED) + 20_000  # no more than the listing


@pytest.mark.parametrize("way", ["as the hub does", "weak_etags", "xet", "resolve_cache", "compress"])
def test_same_tree(machine, other, hub, tiny, way):
    if way != "as the hub does":
        setattr(hub, way, not getattr(hub, way))
    machine.pull("acme/tiny")
    fetch(other.set(HF_HUB_DISABLE_XET=1), "acme/tiny", WANTED)
    assert_same(machine, other)


@pytest.mark.parametrize("revision", ["v1.0", "release/2026.10", "refs/pr/1", "commit", "short"])
def test_same_tree_of_a_revision(machine, other, hub, tiny, revision):
    commit = tiny.commit(model_files(seed=2), ref=revision)
    if revision in ("commit", "short"):
        revision = commit if revision == "commit" else commit[:8]
    machine.pull(f"acme/tiny@{revision}")
    fetch(other, "acme/tiny", WANTED, revision)
    machine.check(tiny, WANTED, commit)
    assert_same(machine, other)


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077, 0o002])
def test_same_permissions(machine, other, hub, umask):
    hub.add(Repository("acme/single", single_file_model(5000)))
    machine.pull("acme/single", umask=umask)
    official(other, f"os.umask({umask})\n" + FILES, "acme/single", '["config.json", "tokenizer.json", "model.safetensors"]', "")
    assert_same(machine, other)


def test_same_tree_without_links(machine, other, hub, tiny):
    machine.set(HF_HUB_DISABLE_SYMLINKS=1).pull("acme/tiny")
    fetch(other.set(HF_HUB_DISABLE_SYMLINKS=1), "acme/tiny", WANTED)
    machine.check(tiny, WANTED)
    assert_same(machine, other)


def test_files_in_folders(machine, other, hub):
    files = single_file_model(9000) | {"additional_chat_templates/tools.jinja": File(b"{{ tools }}")}
    repository = hub.add(Repository("acme/folders", files))
    machine.pull("acme/folders")
    assert cache.wrong_bytes(machine.cache, repository) == []
    fetch(other, "acme/folders", cache.present(machine.cache, repository))
    assert_same(machine, other)


def test_odd_names(machine, other, hub):
    repository = hub.add(Repository("Acme-2_x/Tiny.Model-v1.0_4bit", single_file_model(9000)))
    machine.pull(repository.name)
    fetch(other, repository.name, list(repository.files))
    assert_same(machine, other)


def test_two_commits_share_what_is_the_same(machine, other, hub, tiny):
    first = tiny.head
    machine.pull("acme/tiny")
    hub.forget()
    changed = dict(tiny.files) | {"config.json": File(b'{"model_type": "qwen3", "changed": true}')}
    tiny.commit(changed)
    machine.pull("acme/tiny", "--update")
    machine.check(tiny, WANTED)
    assert cache.present(machine.cache, tiny, first) == sorted(WANTED)
    assert not hub.asked(server="content", method="GET")
    for commit in (first, "main"):
        fetch(other, "acme/tiny", WANTED, commit)
    # The other library was not told of the branch's first commit by its name.
    assert_same(machine, other)


def test_same_bytes_under_two_names(machine, other, hub):
    shard = model_files()["model-00001-of-00002.safetensors"]
    files = model_files() | {"model-00002-of-00002.safetensors": shard}
    repository = hub.add(Repository("acme/twins", files))
    machine.pull("acme/twins")
    machine.check(repository, WANTED)
    assert hub.sent(shard.sha256) == len(shard.data)
    fetch(other, "acme/twins", WANTED)
    assert_same(machine, other)


def test_empty_file(machine, other, hub):
    repository = hub.add(Repository("acme/empty", single_file_model(9000) | {"tokenizer_config.json": File(b"")}))
    machine.pull("acme/empty")
    machine.check(repository, list(repository.files))
    fetch(other, "acme/empty", list(repository.files))
    assert_same(machine, other)


def test_a_file_that_went_is_noted(machine, other, hub):
    """Listed, but gone when it is asked for: the absence is kept as huggingface_hub keeps it."""
    repository = hub.add(Repository("acme/gone", single_file_model(9000) | {"generation_config.json": File(b"{}")}))
    gone = {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found", "X-Repo-Commit": repository.head}
    hub.fail("/generation_config.json", times=None, status=404, headers=gone)
    machine.pull("acme/gone")
    machine.check(repository, [name for name in repository.files if name != "generation_config.json"])
    marker = machine.cache / repository.folder / ".no_exist" / repository.head / "generation_config.json"
    assert marker.read_bytes() == b""
    fetch(other, "acme/gone", list(repository.files))
    assert_same(machine, other)
    hub.forget()
    machine.pull("acme/gone")
    assert not hub.log


def test_adapter(machine, other, hub):
    files = {"adapter_config.json": File(b'{"fine_tune_type": "lora"}'), "adapters.safetensors": File(b"a" * 5000, lfs=True),
             "0000100_adapters.safetensors": File(b"b" * 5000, lfs=True), "voice.json": File(b"{}"),
             "README.md": File(b"read me"), "adapter_model.bin": File(b"c" * 5000, lfs=True)}
    repository = hub.add(Repository("acme/voice", files))
    machine.pull("acme/voice")
    wanted = ["adapter_config.json", "adapters.safetensors"]
    assert set(wanted) <= set(cache.present(machine.cache, repository)) <= {*wanted, "voice.json"}
    assert cache.wrong_bytes(machine.cache, repository) == []
    fetch(other, "acme/voice", cache.present(machine.cache, repository))
    assert_same(machine, other)


def test_include_and_exclude(machine, hub, tiny):
    machine.pull("acme/tiny", "--include", "README.md", "--include", "onnx/*", "--exclude", "*-00002-*", "--exclude", "*.jinja")
    wanted = [name for name in WANTED if "-00002-" not in name and not name.endswith(".jinja")]
    machine.check(tiny, [*wanted, "README.md", "onnx/model.onnx"])
    machine.pull("acme/tiny")
    machine.check(tiny, [*WANTED, "README.md", "onnx/model.onnx"])
