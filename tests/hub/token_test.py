"""Who is told the token: the hub, and nobody else."""

import pytest

import cache
from repository import WANTED, Repository, model_files

TOKEN = "hf_aVerySecretToken"


@pytest.fixture
def gated(hub) -> Repository:
    repository = hub.add(Repository("acme/tiny", model_files(), gated=True))
    hub.tokens |= {TOKEN, "hf_stranger"}
    repository.readers.add(TOKEN)
    return repository


def token_file(machine, text: str, folder: str = ".cache/huggingface") -> None:
    path = machine.home / folder / "token"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def assert_kept(hub) -> None:
    """The hub was told the token in every request, and no other server in any."""
    assert {request.token for request in hub.asked(server="hub")} == {f"Bearer {TOKEN}"}
    assert {request.token for request in hub.asked(server="content")} <= {None}
    assert all(TOKEN not in request.target and TOKEN not in str(
        {name: value for name, value in request.headers.items() if name != "authorization"}) for request in hub.log)


def test_variable(machine, hub, gated):
    result = machine.set(HF_TOKEN=TOKEN).pull("acme/tiny", "-v")
    machine.check(gated, WANTED)
    assert_kept(hub)
    assert TOKEN not in result.stdout + result.stderr
    assert not any(TOKEN.encode() in path.read_bytes() for path in machine.home.rglob("*") if path.is_file())


@pytest.mark.parametrize("variables", [{"HUGGING_FACE_HUB_TOKEN": TOKEN}, {"HF_TOKEN": f"  {TOKEN}\n"},
                                       {"HF_TOKEN": TOKEN, "HUGGING_FACE_HUB_TOKEN": "hf_stranger"}], ids=str)
def test_other_variables(machine, hub, gated, variables):
    machine.set(**variables).pull("acme/tiny")
    machine.check(gated, WANTED)
    assert_kept(hub)


@pytest.mark.parametrize("text", [TOKEN, TOKEN + "\n", f" {TOKEN}\r\n\n"], ids=repr)
def test_file(machine, hub, gated, text):
    token_file(machine, text)
    machine.pull("acme/tiny")
    machine.check(gated, WANTED)
    assert_kept(hub)


def test_file_elsewhere(machine, hub, gated):
    token_file(machine, TOKEN, "elsewhere")
    machine.set(HF_TOKEN_PATH=machine.home / "elsewhere/token").pull("acme/tiny")
    machine.check(gated, WANTED)
    machine.set(HF_TOKEN_PATH=None, HF_HOME=machine.home / "elsewhere").pull("acme/tiny")
    assert_kept(hub)


def test_variable_before_file(machine, hub, gated):
    token_file(machine, "hf_stranger")
    machine.set(HF_TOKEN=TOKEN).pull("acme/tiny")
    assert_kept(hub)


def test_not_sent_unasked(machine, hub, tiny):
    hub.tokens.add(TOKEN)
    token_file(machine, TOKEN)
    machine.set(HF_HUB_DISABLE_IMPLICIT_TOKEN=1).pull("acme/tiny")
    assert {request.token for request in hub.log} == {None}


@pytest.mark.parametrize("address", ["another name", "another port"])
def test_not_to_another_server(machine, hub, gated, address):
    if address == "another port":
        hub.content_url = f"http://127.0.0.1:{hub.content_server.server_port}"
    machine.set(HF_TOKEN=TOKEN).pull("acme/tiny")
    machine.check(gated, WANTED)
    assert_kept(hub)


@pytest.mark.parametrize("path", ["/config.json", "/api/models/acme/tiny"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_elsewhere_does_not_take_it_along(machine, hub, gated, path, status):
    """The hub's own answers too may lead away."""
    hub.fail(path, server="hub", times=None, status=status, headers={"Location": hub.content_url + "/elsewhere"})
    machine.set(HF_TOKEN=TOKEN).refused("model", "pull", "acme/tiny")
    assert_kept(hub)


def test_nor_does_a_redirect_of_the_content_server_back(machine, hub, gated):
    """What another server sends back to the hub is not the hub's word."""
    sha256 = gated.files["model-00001-of-00002.safetensors"].sha256
    hub.fail(sha256, server="content", times=None, status=302, headers={"Location": hub.url + "/steal"})
    machine.set(HF_TOKEN=TOKEN).refused("model", "pull", "acme/tiny")
    assert {request.token for request in hub.asked("/steal")} <= {None}


def test_gated_without(machine, hub, gated):
    message = machine.refused("model", "pull", "acme/tiny")
    assert "acme/tiny" in message and "HF_TOKEN" in message and "gated" in message
    assert cache.present(machine.cache, gated) == []
    assert len(hub.log) <= 6, machine.requests()  # nothing was tried again


def test_gated_without_access(machine, hub, gated):
    message = machine.set(HF_TOKEN="hf_stranger").refused("model", "pull", "acme/tiny")
    assert "acme/tiny" in message and "gated" in message and "hf_stranger" not in message
    assert f"{hub.url}/acme/tiny" in message  # where access is asked for


def test_invalid(machine, hub, tiny):
    message = machine.set(HF_TOKEN="hf_invented").refused("model", "pull", "acme/tiny")
    assert "token" in message and "hf_invented" not in message
    assert len(hub.log) <= 2


def test_private(machine, hub):
    repository = hub.add(Repository("acme/secret", model_files(), private=True))
    hub.tokens |= {TOKEN, "hf_stranger"}
    repository.readers.add(TOKEN)
    for token in (None, "hf_stranger"):
        message = machine.set(HF_TOKEN=token).refused("model", "pull", "acme/secret")
        assert "acme/secret" in message and "private" in message
    machine.set(HF_TOKEN=TOKEN).pull("acme/secret")
    machine.check(repository, WANTED)


@pytest.mark.parametrize("token", ["hf_a\r\nX-Evil: 1", "hf_a b", "hf_\x01", "hf_ü"], ids=ascii)
def test_a_token_that_is_none(machine, hub, tiny, token):
    message = machine.set(HF_TOKEN=token).refused("model", "pull", "acme/tiny")
    assert "token" in message.lower()
    assert not hub.log
