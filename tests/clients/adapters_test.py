"""Adapters: per request and scale, loaded and unloaded while others write, reloaded when their file changes."""

import concurrent.futures
import time

import pytest

from adapter_files import write_adapter
from bobby_server import Server

REQUEST = {"prompt": "Coffee in the morning is", "max_tokens": 20, "temperature": 0, "ignore_eos": True}
FIELDS = {"name", "folder", "format", "rank", "scale", "modules", "parameters", "sha256", "default", "loaded_at"}


@pytest.fixture
def own(home):
    with Server(home) as server:
        yield server


def text(server, *lora, **change) -> str:
    response = server.http.post("/v1/completions", json=REQUEST | change | {"lora": list(lora)})
    assert response.status_code == 200, response.text
    return response.json()["choices"][0]["text"]


def names(server) -> set[str]:
    return {adapter["name"] for adapter in server.http.get("/v1/adapters").json()["data"]}


def wait_for(condition, seconds: float = 15):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)


def test_scales_and_sums(server):
    base = text(server)
    assert text(server, {"name": "voice1", "scale": 0}) == base
    seen = {text(server, {"name": "voice1", "scale": scale}) for scale in (1, 2, 3)} | {base}
    assert len(seen) == 4
    both = text(server, {"name": "voice1", "scale": 1}, {"name": "voice2", "scale": 1})
    assert both not in seen
    assert both == text(server, {"name": "voice2", "scale": 1}, {"name": "voice1", "scale": 1})
    assert text(server, {"name": "voice1"}) == text(server, {"name": "voice1", "scale": 1}), "its own scale is 1"


def test_different_ones_in_one_batch(server):
    uses = [[], [{"name": "voice1", "scale": 1}], [{"name": "voice1", "scale": 0.25}], [{"name": "voice2", "scale": 1}],
            [{"name": "voice2", "scale": 2}, {"name": "voice3", "scale": 1}], [{"name": "voice3", "scale": 0.75}]]
    alone = [text(server, *use) for use in uses]
    with concurrent.futures.ThreadPoolExecutor(18) as pool:
        assert list(pool.map(lambda i: text(server, *uses[i % 6]), range(18))) == alone * 3


def test_loading_and_unloading(own, tmp_path):
    assert names(own) == set()
    folder = write_adapter(tmp_path / "fresh", 5, scale=2)
    made = own.load(folder, "fresh")
    assert set(made) == FIELDS
    assert made["name"] == "fresh" and made["format"] == "mlx" and made["rank"] == 4 and made["scale"] == 2
    assert made["modules"] == ["down_proj", "o_proj", "v_proj"] and made["default"] is False
    assert made in own.http.get("/v1/adapters").json()["data"]
    assert text(own, {"name": "fresh"}) == text(own, {"name": "fresh", "scale": 2}) != text(own)
    other = own.http.post("/v1/adapters", json={"path": str(write_adapter(tmp_path / "other", 7)), "name": "fresh"})
    assert other.status_code == 409 and "fresh" in other.json()["error"]["message"]
    unnamed = own.http.post("/v1/adapters", json={"path": str(write_adapter(tmp_path / "second", 6))})
    assert unnamed.status_code == 201 and unnamed.json()["name"] == "second"
    assert own.http.delete("/v1/adapters/fresh").json() == {"deleted": True, "name": "fresh"}
    assert names(own) == {"second"}
    response = own.http.post("/v1/completions", json=REQUEST | {"lora": [{"name": "fresh"}]})
    assert response.status_code == 404 and "fresh" in response.json()["error"]["message"]


def test_running_requests_keep_what_they_began_with(own, tmp_path):
    own.load(write_adapter(tmp_path / "voice", 5), "voice")
    long = {"max_tokens": 150}
    expected = text(own, {"name": "voice"}, **long)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        running = [pool.submit(text, own, {"name": "voice"}, **long) for _ in range(4)]
        wait_for(lambda: "bobby_rows_running 4" in own.metrics())
        assert own.http.delete("/v1/adapters/voice").status_code == 200
        own.load(write_adapter(tmp_path / "other", 6), "voice")
        assert [future.result() for future in running] == [expected] * 4
    assert text(own, {"name": "voice"}, **long) != expected


def test_a_changed_file_is_loaded_again(own, tmp_path):
    folder = write_adapter(tmp_path / "voice", 5)
    before = own.load(folder, "voice")
    first = text(own, {"name": "voice"})
    write_adapter(folder, 6)
    wait_for(lambda: own.http.get("/v1/adapters").json()["data"][0]["sha256"] != before["sha256"])
    second = text(own, {"name": "voice"})
    assert second != first
    own.load(write_adapter(tmp_path / "same", 6), "same")
    assert text(own, {"name": "same"}) == second


def test_a_broken_file_keeps_the_old(own, tmp_path):
    folder = write_adapter(tmp_path / "voice", 5)
    before = own.load(folder, "voice")
    first = text(own, {"name": "voice"})
    for breaking in (lambda: (folder / "adapters.safetensors").write_bytes(b"not a file of tensors"),
                     lambda: (folder / "adapters.safetensors").unlink(),
                     lambda: (folder / "adapter_config.json").write_text("{")):
        breaking()
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            assert own.http.get("/v1/adapters").json()["data"][0]["sha256"] == before["sha256"]
            assert text(own, {"name": "voice"}) == first
            time.sleep(0.25)
    assert str(folder) in own.log_text(), "the log says what is wrong"
    write_adapter(folder, 6)
    wait_for(lambda: own.http.get("/v1/adapters").json()["data"][0]["sha256"] != before["sha256"])
    assert text(own, {"name": "voice"}) != first


def test_what_cannot_be_loaded_is_said(own, tmp_path):
    folder = write_adapter(tmp_path / "bad", 5)
    (folder / "adapters.safetensors").write_bytes(b"x" * 100)
    empty = tmp_path / "empty"
    empty.mkdir()
    for path, status in ((folder, 400), (empty, 404), (tmp_path / "nowhere", 404), ("/etc/passwd", 400)):
        response = own.http.post("/v1/adapters", json={"path": str(path), "name": "bad"})
        assert response.status_code in (status, 400, 404), response.text
        assert str(path) in response.json()["error"]["message"] or "safetensors" in response.json()["error"]["message"]
    assert names(own) == set() and own.alive()


def test_default_adapters_are_used_unless_others_are_named(home, voices):
    with Server(home, "--adapter", str(voices["voice1"])) as own:
        (adapter,) = own.http.get("/v1/adapters").json()["data"]
        assert adapter["default"] is True
        assert own.http.get("/v1/settings").json()["adapters"] == [adapter["name"]]
        request = {"prompt": "write about coffee", "count": 1, "seed": 3}

        def post(**change):
            response = own.http.post("/v1/posts", json=request | change)
            assert response.status_code == 200, response.text
            return response.json()["posts"][0]["text"]

        assert post() == post(adapters=[{"name": adapter["name"]}]) != post(adapters=[])


def test_adapters_come_and_go_under_load(own, tmp_path):
    folders = [write_adapter(tmp_path / f"v{i}", 20 + i) for i in range(3)]
    for i, folder in enumerate(folders):
        own.load(folder, f"v{i}")
    expected = [text(own, {"name": f"v{i}"}) for i in range(3)]

    def churn(i):
        for _ in range(6):
            own.http.delete(f"/v1/adapters/v{i}")
            own.load(folders[i], f"v{i}")

    def ask(i):
        for _ in range(8):
            response = own.http.post("/v1/completions", json=REQUEST | {"lora": [{"name": f"v{i % 3}"}]})
            # Between removal and loading there is none.
            assert response.status_code in (200, 404), response.text
            if response.status_code == 200:
                assert response.json()["choices"][0]["text"] == expected[i % 3]

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        for future in [pool.submit(churn, i) for i in range(3)] + [pool.submit(ask, i) for i in range(9)]:
            future.result()
    assert own.alive()
