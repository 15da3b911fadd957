"""A hub over TLS, with a certificate of its own that SSL_CERT_FILE vouches for."""

import ssl
import subprocess

import pytest

import cache
from clients import Machine, official
from hub import Hub, Server
from repository import WANTED, Repository, model_files

TOKEN = "hf_aVerySecretToken"


def make_certificate(folder, names: str):
    folder.mkdir(exist_ok=True)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=a hub",
                    "-addext", f"subjectAltName={names}", "-keyout", "key.pem", "-out", "certificate.pem"],
                   cwd=folder, check=True, capture_output=True)
    return folder


def context_of(certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "certificate.pem", certificate / "key.pem")
    return context


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("certificate"), "DNS:localhost,IP:127.0.0.1")


@pytest.fixture
def tls(certificate):
    return context_of(certificate)


@pytest.fixture
def hub(tls):
    with Hub(tls=tls) as hub:
        yield hub


@pytest.fixture
def machine(tmp_path, hub, certificate):
    return Machine(tmp_path / "home", hub).set(SSL_CERT_FILE=certificate / "certificate.pem")


@pytest.fixture
def encrypted(hub, tls) -> Repository:
    """Its large files lie on a server over TLS too."""
    hub.content_server.shutdown()
    hub.content_server.server_close()
    hub.content_server = Server(hub, "content", tls)
    hub.content_url = f"https://localhost:{hub.content_server.server_port}"
    return hub.add(Repository("acme/tiny", model_files()))


def test_pull(machine, hub, encrypted):
    hub.tokens.add(TOKEN)
    machine.set(HF_TOKEN=TOKEN).pull("acme/tiny")
    machine.check(encrypted, WANTED)
    assert {request.token for request in hub.asked(server="content")} == {None}


def test_the_other_library_agrees(machine, hub, encrypted):
    official(machine, "hf.snapshot_download('acme/tiny')")
    assert cache.wrong_bytes(machine.cache, encrypted) == []


def test_a_certificate_that_nobody_vouches_for(machine, hub, encrypted):
    message = machine.set(SSL_CERT_FILE=None).refused("model", "pull", "acme/tiny")
    assert "certificate" in message.lower() and hub.url in message
    assert not hub.log


def test_a_certificate_of_another_name(machine, hub, encrypted, tmp_path):
    other = make_certificate(tmp_path / "other", "DNS:elsewhere.example")
    server = Server(hub, "hub", context_of(other))
    machine.set(SSL_CERT_FILE=other / "certificate.pem", HF_ENDPOINT=f"https://127.0.0.1:{server.server_port}")
    assert "certificate" in machine.refused("model", "pull", "acme/tiny").lower()
    assert not hub.log
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("path", ["/config.json", "/api/models/"])
def test_from_encrypted_to_plain(machine, hub, encrypted, path):
    """Not even to this machine: whoever can read the way could lead there."""
    plain = Server(hub, "content")
    hub.fail(path, server="hub", times=None, status=302, headers={
        "Location": f"http://127.0.0.1:{plain.server_port}/elsewhere", "X-Repo-Commit": encrypted.head,
        "X-Linked-ETag": f'"{"a" * 64}"', "X-Linked-Size": "5"})
    hub.tokens.add(TOKEN)
    assert "https" in machine.set(HF_TOKEN=TOKEN).refused("model", "pull", "acme/tiny")
    assert not hub.asked("/elsewhere")
    plain.shutdown()
    plain.server_close()


def test_large_files_on_a_plain_server(machine, hub):
    repository = hub.add(Repository("acme/tiny", model_files()))
    assert "https" in machine.refused("model", "pull", "acme/tiny")
    assert not hub.asked(server="content") and cache.wrong_bytes(machine.cache, repository) == []
