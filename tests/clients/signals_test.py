"""SIGTERM and SIGINT: what runs is finished, nothing new is taken, the exit status is 0."""

import concurrent.futures
import json
import signal
import time

import httpx
import pytest

from bobby_server import Server

REQUEST = {"prompt": "Coffee in the morning is", "max_tokens": 120, "temperature": 0, "ignore_eos": True}


def whole(server, change):
    response = server.http.post("/v1/completions", json=REQUEST | change)
    return response.status_code, response.json()["choices"][0]["text"]


def streamed(server, change):
    text, done = "", False
    with server.http.stream("POST", "/v1/completions", json=REQUEST | change | {"stream": True}) as response:
        for line in response.iter_lines():
            if line == "data: [DONE]":
                done = True
            elif line.startswith("data: "):
                for choice in json.loads(line[6:])["choices"]:
                    text += choice["text"]
    return 200 if done else None, text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_runs_is_finished(home, number):
    with Server(home) as server:
        expected = {i: whole(server, {"prompt": f"Number {i} is"}) for i in range(8)}
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            running = [pool.submit(streamed if i % 2 else whole, server, {"prompt": f"Number {i} is"}) for i in range(8)]
            deadline = time.monotonic() + 10
            while "bobby_rows_running 8" not in server.metrics():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            server.process.send_signal(number)
            time.sleep(0.1)
            # As a balancer asks, on a connection of its own.
            ready = httpx.get(server.url + "/ready")
            assert ready.status_code == 503 and ready.json() == {"status": "draining"}
            refused = httpx.post(server.url + "/v1/completions", json=REQUEST)
            assert refused.status_code == 503 and refused.json()["error"]["type"] == "server_error"
            assert [future.result() for future in running] == [expected[i] for i in range(8)]
        assert server.process.wait(20) == 0


def test_an_idle_server_ends_at_once(home):
    with Server(home) as server:
        idle = httpx.Client(base_url=server.url)
        idle.get("/health")
        start = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - start < 2


def test_a_second_signal_does_not_wait(home):
    with Server(home) as server:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            running = pool.submit(lambda: httpx.post(server.url + "/v1/completions", timeout=60,
                                                     json=REQUEST | {"max_tokens": 4000}))
            deadline = time.monotonic() + 10
            while "bobby_rows_running 1" not in server.metrics():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            server.terminate()
            time.sleep(0.3)
            assert server.process.poll() is None, "the request is finished first"
            start = time.monotonic()
            server.terminate()
            server.process.wait(20)
            assert time.monotonic() - start < 5
            assert running.exception() or running.result().status_code >= 200


def test_ready_while_loading(home):
    with Server(home, wait=False) as server:
        seen = set()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                response = server.http.get("/ready")
            except httpx.TransportError:
                continue
            seen.add(response.json()["status"])
            if response.status_code == 200:
                assert set(response.json()) == {"status", "model", "device"}
                break
            assert response.status_code == 503 and response.json()["status"] == "loading"
            assert {"phase", "done", "total"} <= set(response.json())
        assert "ready" in seen


def test_a_port_in_use_is_said(home):
    with Server(home) as server:
        other = Server(home / "other", "--port", str(server.port), wait=False)
        assert other.process.wait(30) != 0
        assert str(server.port) in other.log_text()
        assert server.alive()


def test_another_machines_address_needs_a_key(home):
    server = Server(home, "--host", "0.0.0.0", wait=False)
    assert server.process.wait(30) == 2
    assert "--api-key-file" in server.log_text()
