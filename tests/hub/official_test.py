"""The hub is one to huggingface_hub's own library; only then may it judge another client."""

import hashlib

import pytest

import cache
from clients import official
from repository import UNWANTED, WANTED, Repository, model_files, single_file_model

SNAPSHOT = "result = hf.snapshot_download('acme/tiny', **json.loads(sys.argv[1] if len(sys.argv) > 1 else '{}'))"
# The error's kind and status, as the library tells them apart.
FILE = """
try:
    result = hf.hf_hub_download('acme/tiny', sys.argv[1], revision=sys.argv[2] if len(sys.argv) > 2 else None)
except Exception as error:
    cause = error
    while cause.__cause__ is not None and not hasattr(cause, 'response'):
        cause = cause.__cause__
    result = [type(cause).__name__, getattr(getattr(cause, 'response', None), 'status_code', None)]
"""


def test_whole_repository(machine, hub, tiny):
    hub.page = 5  # the tree comes in several answers
    official(machine, SNAPSHOT)
    assert cache.present(machine.cache, tiny) == sorted(WANTED + UNWANTED)
    assert cache.wrong_bytes(machine.cache, tiny) == []
    assert cache.wrong_blobs(machine.cache) == []
    assert len(hub.asked("/tree/", "GET")) == 4


@pytest.mark.parametrize("way", ["weak_etags", "compress", "xet", "resolve_cache"])
def test_other_ways_of_answering(machine, hub, tiny, way):
    setattr(hub, way, not getattr(hub, way))
    machine.set(HF_HUB_DISABLE_XET=1)
    official(machine, SNAPSHOT)
    assert cache.wrong_bytes(machine.cache, tiny) == []
    assert cache.wrong_blobs(machine.cache) == []


def test_list_and_checksums(machine, tiny):
    assert official(machine, "result = sorted(hf.HfApi().list_repo_files('acme/tiny'))") == sorted(tiny.files)
    official(machine, SNAPSHOT)
    assert official(machine, "found = hf.HfApi().verify_repo_checksums('acme/tiny')\n"
                             "result = [found.checked_count, found.mismatches, found.missing_paths, found.extra_paths]") == [
        len(tiny.files), [], [], []]
    info = official(machine, "found = hf.HfApi().model_info('acme/tiny', files_metadata=True)\n"
                             "result = {file.rfilename: [file.size, file.blob_id, file.lfs and file.lfs.sha256] for file in found.siblings}")
    assert info == {name: [len(file.data), file.git, file.sha256 if file.lfs else None] for name, file in tiny.files.items()}


def test_the_token_stays_with_the_hub(machine, hub, tiny):
    hub.tokens.add("hf_secret")
    machine.set(HF_TOKEN="hf_secret")
    official(machine, SNAPSHOT)
    assert hub.asked(server="content") and all(request.token is None for request in hub.asked(server="content"))
    assert all(request.token == "Bearer hf_secret" for request in hub.asked(server="hub"))


def test_refusals(machine, hub, tiny):
    assert official(machine, FILE, "nothing.json") == ["RemoteEntryNotFoundError", 404]
    assert official(machine, FILE, "config.json", "no-such-branch") == ["RevisionNotFoundError", 404]
    assert (machine.cache / tiny.folder / ".no_exist" / tiny.head / "nothing.json").read_bytes() == b""
    hub.add(Repository("acme/tiny", model_files(), gated=True))
    hub.tokens |= {"hf_stranger", "hf_reader"}
    hub.repositories["acme/tiny"].readers.add("hf_reader")
    assert official(machine, FILE, "config.json") == ["GatedRepoError", 401]
    assert official(machine.set(HF_TOKEN="hf_stranger"), FILE, "config.json") == ["GatedRepoError", 403]
    assert official(machine.set(HF_TOKEN="hf_reader"), FILE, "config.json").endswith("/config.json")
    assert official(machine.set(HF_TOKEN="hf_invented"), FILE, "README.md") == ["HfHubHTTPError", 401]
    hub.add(Repository("acme/tiny", model_files(), private=True))
    assert official(machine.set(HF_TOKEN="hf_stranger"), FILE, "README.md") == ["RepositoryNotFoundError", 404]
    hub.add(Repository("acme/tiny", model_files(), disabled=True))
    assert official(machine, FILE, "README.md") == ["DisabledRepoError", 403]


def test_renamed_repository(machine, hub, tiny):
    hub.add(Repository("acme/little", model_files()))
    hub.renamed["acme/tiny"] = "acme/little"
    assert official(machine, FILE, "config.json").endswith("/config.json")


def test_cut_off_and_resumed(machine, hub):
    whole = hub.add(Repository("acme/tiny", single_file_model(12 << 20)))  # it writes after each 10 MiB
    sha256 = whole.files["model.safetensors"].sha256
    hub.fail(sha256, server="content", cut_after=11 << 20, cut_by_reset=False)
    official(machine, FILE, "model.safetensors")
    assert cache.wrong_bytes(machine.cache, whole) == []
    requests = hub.asked(sha256)
    assert [request.status for request in requests] == [200, 206]
    assert requests[1].headers["range"] == f"bytes={10 << 20}-"


def test_it_believes_wrong_bytes(machine, hub, tiny):
    """Why there is another client: huggingface_hub#3643."""
    name = "model-00001-of-00002.safetensors"
    hub.fail(tiny.files[name].sha256, server="content", corrupt_at=1000)
    official(machine, FILE, name)
    assert cache.wrong_blobs(machine.cache) == [tiny.files[name].sha256]
    assert hashlib.sha256((cache.snapshot(machine.cache, tiny) / name).read_bytes()).hexdigest() != tiny.files[name].sha256
