"""Parts of files, as RFC 9110 has them: what huggingface_hub's library asks for too seldom to prove."""

import urllib.error
import urllib.request

import pytest

from repository import Repository, single_file_model


@pytest.fixture
def file(hub):
    repository = hub.add(Repository("acme/single", single_file_model(1000)))
    return repository.files["model.safetensors"]


def ask(hub, file, **headers) -> tuple[int, dict, bytes]:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(hub.signed(file), headers=names)) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


@pytest.mark.parametrize("text, begin, end", [("bytes=0-0", 0, 1), ("bytes=10-", 10, None), ("bytes=-5", -5, None),
                                              ("bytes=500-99999", 500, None), ("bytes=0-499", 0, 500)])
def test_a_range(hub, file, text, begin, end):
    status, headers, body = ask(hub, file, Range=text)
    assert status == 206 and body == file.data[begin:end]
    first = begin % len(file.data)
    assert headers["Content-Range"] == f"bytes {first}-{first + len(body) - 1}/{len(file.data)}"


def test_a_range_that_is_none(hub, file):
    status, headers, _ = ask(hub, file, Range="bytes=99999-")
    assert status == 416 and headers["Content-Range"] == f"bytes */{len(file.data)}"
    for text in ("bytes=5-4", "bytes=0-1,3-4", "lines=1-2"):
        assert ask(hub, file, Range=text)[0::2] == (200, file.data)


def test_if_range(hub, file):
    _, headers, _ = ask(hub, file)
    assert ask(hub, file, Range="bytes=5-", If_Range=headers["ETag"])[0] == 206
    assert ask(hub, file, Range="bytes=5-", If_Range=f'"{file.sha256}"')[0::2] == (200, file.data)


def test_the_address_is_of_one_file_and_a_time(hub, file):
    assert ask(hub, file, Authorization="Bearer x")[0] == 400
    hub.signature_seconds = -1
    assert ask(hub, file)[0] == 403
