"""--prompt-cache: what one run computed of prompts, the next finds; a bad file only makes it slower."""

import json
import stat
import struct
import subprocess

import pytest

from bobby_server import BOBBY, DEMO, Server, environment

PROMPT = ("The harbour was quiet and the kettle was not. Nobody had asked the gulls for their opinion, which they gave all "
          "the same, and the first ferry of the day came in sideways, as it does when the wind has been at the coffee. We "
          "opened the shop at seven, sold two maps and a ball of string, and told the same man the way to the museum three "
          "times. By noon the rain had made up its mind. What happened after lunch is harder to explain, but it began with")
CACHED = 96  # of its tokens: three whole blocks
VOICE = {"lora": [{"name": "voice1"}]}


def ask(server, **change):
    request = {"prompt": PROMPT, "max_tokens": 24, "temperature": 0.9, "seed": 3, "ignore_eos": True} | change
    response = server.http.post("/v1/completions", json=request)
    assert response.status_code == 200, response.text
    body = response.json()
    return body["choices"][0]["text"], body["usage"]["prompt_tokens_details"]["cached_tokens"]


@pytest.fixture(scope="module")
def kept(tmp_path_factory, voices):
    """A cache file, and what the server that wrote it answered: alone, and in a voice."""
    home = tmp_path_factory.mktemp("prompt-cache") / "home"
    file = home.parent / "prompts.cache"
    with Server(home, "--prompt-cache", file) as server:
        server.load(voices["voice1"], "voice1")
        base = ask(server)
        voice = ask(server, **VOICE)
        assert base[1] == 0 and voice[1] == 0 and base[0] != voice[0]
        assert server.stop() == 0
        assert "kept" in server.log_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600, "it tells what people asked"
    return file, base[0], voice[0]


def start(tmp_path, file, voices, *options):
    server = Server(tmp_path / f"home-{len(list(tmp_path.iterdir()))}", "--prompt-cache", file, *options)
    server.load(voices["voice1"], "voice1")
    return server


def copy_of(kept, tmp_path):
    copy = tmp_path / "prompts.cache"
    copy.write_bytes(kept[0].read_bytes())
    return copy


def header_end(data: bytes) -> int:
    return 8 + struct.unpack("<Q", data[:8])[0]


def test_the_next_run_finds_every_voices_own(tmp_path, kept, voices):
    _, base, voice = kept
    with start(tmp_path, copy_of(kept, tmp_path), voices) as server:
        assert "found" in server.log_text()
        assert ask(server, **VOICE) == (voice, CACHED)
        assert ask(server) == (base, CACHED)
        assert ask(server, lora=[{"name": "voice1", "scale": 3}])[1] == 0, "another scale is another voice"


def test_a_run_that_adds_nothing_keeps_what_it_found(tmp_path, kept, voices):
    file = copy_of(kept, tmp_path)
    for _ in range(2):
        with start(tmp_path, file, voices) as server:
            assert ask(server)[1] == CACHED
            server.stop()


def test_a_damaged_block_is_noticed(tmp_path, kept, voices):
    file = copy_of(kept, tmp_path)
    data = bytearray(file.read_bytes())
    names = json.loads(data[8:header_end(data)])
    begin, end = names["blocks"]["data_offsets"]
    data[header_end(data) + (begin + end) // 2] ^= 1
    file.write_bytes(data)
    with start(tmp_path, file, voices) as server:
        assert "is damaged" in server.log_text()
        assert ask(server, **VOICE) == (kept[2], 0)


def test_tokens_that_were_changed_are_noticed(tmp_path, kept, voices):
    """Other tokens for the same keys and values would give one prompt the answer of another."""
    file = copy_of(kept, tmp_path)
    data = bytearray(file.read_bytes())
    begin, _ = json.loads(data[8:header_end(data)])["tokens"]["data_offsets"]
    data[header_end(data) + begin] ^= 1
    file.write_bytes(data)
    with start(tmp_path, file, voices) as server:
        assert "is damaged" in server.log_text()
        assert ask(server, **VOICE) == (kept[2], 0)


def test_other_settings_start_anew_and_write_over(tmp_path, kept, voices):
    file = copy_of(kept, tmp_path)
    for found in (False, True):
        with start(tmp_path, file, voices, "--kv", "int8") as server:
            assert ("under other settings" in server.log_text()) != found
            assert ask(server)[1] == (CACHED if found else 0)
            server.stop()


def test_memory_for_a_part_takes_the_latest_part(tmp_path, kept, voices):
    with start(tmp_path, copy_of(kept, tmp_path), voices, "--kv-memory", "4") as server:
        assert "found" in server.log_text()
        assert ask(server, max_tokens=2, **VOICE)[1] == CACHED, "asked last"
        assert ask(server, max_tokens=2)[1] < CACHED


@pytest.mark.parametrize("content", [b"", b"my diary\n", None])
def test_another_file_is_not_written_over(tmp_path, content):
    file = tmp_path / "precious"
    file.write_bytes((DEMO / "model.safetensors").read_bytes()[:4096] if content is None else content)
    before = file.read_bytes()
    ended = subprocess.run([BOBBY, "serve", "--model", DEMO, "--prompt-cache", file], capture_output=True,
                           text=True, env=environment(tmp_path), timeout=60)
    assert ended.returncode == 2 and "is no prompt cache" in ended.stderr
    assert file.read_bytes() == before


def test_a_folder_that_is_not_there_is_said_at_once(tmp_path):
    ended = subprocess.run([BOBBY, "serve", "--model", DEMO, "--prompt-cache", tmp_path / "no" / "cache"],
                           capture_output=True, text=True, env=environment(tmp_path), timeout=60)
    assert ended.returncode == 2 and "is not there" in ended.stderr
