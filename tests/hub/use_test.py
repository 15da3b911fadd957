"""--model ORG/NAME and --adapter ORG/NAME fetch what is missing."""

import json
import os
import pathlib

import pytest

import cache
from clients import ROOT
from repository import File, Repository

PARITY = ROOT / "tests/parity/models/qwen3-4bit-g32"
DATA = pathlib.Path(os.environ.get("XDG_DATA_HOME", pathlib.Path.home() / ".local/share"))
DEMO = pathlib.Path(os.environ.get("BOBBY_DEMO_MODEL", DATA / "bobby/models/demo"))


def repository_of(folder, name: str) -> Repository:
    return Repository(name, {path.name: File(path.read_bytes(), lfs=path.suffix == ".safetensors")
                             for path in folder.iterdir() if path.is_file()})


def logits(machine, model, *options, **more) -> bytes:
    out = machine.home / "logits.safetensors"
    machine.succeed("model", "logits", "--model", model, "--tokens", "1,2,3", "--out", out, *options, **more)
    data = out.read_bytes()
    out.unlink()
    return data


def test_model(machine, hub):
    model = hub.add(repository_of(PARITY / "model", "acme/model"))
    wanted = logits(machine, PARITY / "model")
    assert logits(machine, "acme/model") == wanted
    machine.check(model, list(model.files))
    hub.forget()
    assert logits(machine, "acme/model") == wanted
    assert logits(machine, f"acme/model@{model.head}", "--offline") == wanted
    assert not hub.log


def test_model_of_a_revision(machine, hub):
    model = hub.add(repository_of(PARITY / "model", "acme/model"))
    other = ROOT / "tests/parity/models/qwen3-8bit-g128/model"
    model.commit(repository_of(other, "x").files, ref="v2")
    assert logits(machine, "acme/model@v2") == logits(machine, other)
    assert logits(machine, "acme/model") == logits(machine, PARITY / "model")


def test_model_offline(machine, hub):
    hub.add(repository_of(PARITY / "model", "acme/model"))
    message = machine.refused("model", "logits", "--model", "acme/model", "--tokens", "1", "--out", "x", "--offline")
    assert "acme/model" in message and "offline" in message
    assert not hub.log


def test_model_that_is_not_there(machine, hub):
    message = machine.refused("model", "logits", "--model", "acme/nothing", "--tokens", "1", "--out", "x")
    assert "acme/nothing" in message


def test_a_folder_comes_first(machine, hub):
    """acme/model here is a folder: the hub is not asked."""
    (machine.home / "acme").mkdir()
    (machine.home / "acme/model").symlink_to(PARITY / "model")
    logits(machine, "acme/model")
    assert not hub.log


def test_adapter(machine, hub):
    for kind in ("mlx-all", "peft-twin"):
        adapter = hub.add(repository_of(PARITY / "adapters" / kind, f"acme/{kind}"))
        wanted = logits(machine, PARITY / "model", "--adapter", PARITY / "adapters" / kind)
        assert logits(machine, PARITY / "model", "--adapter", f"acme/{kind}") == wanted
        assert logits(machine, PARITY / "model", "--adapter", f"acme/{kind}:0") == logits(machine, PARITY / "model")
        assert cache.wrong_bytes(machine.cache, adapter) == []


def test_both(machine, hub):
    hub.add(repository_of(PARITY / "model", "acme/model"))
    hub.add(repository_of(PARITY / "adapters/mlx-all", "acme/voice"))
    wanted = logits(machine, PARITY / "model", "--adapter", PARITY / "adapters/mlx-all")
    assert logits(machine, "acme/model", "--adapter", "acme/voice") == wanted


def test_inspect_and_verify(machine, hub):
    hub.add(repository_of(PARITY / "model", "acme/model"))
    assert "qwen3" in machine.succeed("model", "inspect", "acme/model").stdout
    machine.succeed("model", "verify", "acme/model")


@pytest.mark.skipif(not DEMO.exists(), reason=f"there is no demo model at {DEMO}")
def test_post_and_tokenize(machine, hub):
    demo = hub.add(repository_of(DEMO, "acme/demo"))
    hub.add(repository_of(ROOT / "assets/demo-voice/adapter", "acme/voice"))
    ids = machine.succeed("tokenize", "--model", "acme/demo", text="Coffee is\n").stdout
    assert ids == machine.succeed("tokenize", "--model", DEMO, text="Coffee is\n").stdout
    assert "tokenizer.json" in cache.present(machine.cache, demo)
    assert not hub.asked(server="content") or hub.sent() < 5_000_000  # no weights
    posts = [machine.succeed("post", "1", "write about coffee", "--model", model, "--adapter", adapter, "--seed", "3", "--json", "-q").stdout
             for model, adapter in ((DEMO, ROOT / "assets/demo-voice/adapter"), ("acme/demo", "acme/voice"))]
    texts = [json.loads(post.splitlines()[0])["text"] for post in posts]
    assert texts[0] == texts[1]
    assert cache.wrong_bytes(machine.cache, demo) == []
