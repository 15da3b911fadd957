"""`curl -N` sees the events one by one, while they are written."""

import json
import subprocess
import time

import pytest

BODIES = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Tell a story."}], "max_tokens": 60,
                             "temperature": 0, "ignore_eos": True, "stream": True},
    "/v1/completions": {"prompt": "Once upon a time", "max_tokens": 60, "temperature": 0, "ignore_eos": True,
                        "stream": True},
    "/v1/posts": {"prompt": "write about coffee", "count": 2, "seed": 3, "stream": True},
}


@pytest.mark.parametrize("path", BODIES)
def test_events_arrive_one_by_one(server, path):
    process = subprocess.Popen(["curl", "-sSN", "-i", server.url + path, "-H", "Content-Type: application/json",
                                "-d", json.dumps(BODIES[path])], stdout=subprocess.PIPE, text=True)
    lines = [(time.monotonic(), line.strip()) for line in process.stdout]
    assert process.wait() == 0
    assert lines[0][1].startswith("HTTP/1.1 200")
    header = next(i for i, (_, line) in enumerate(lines) if not line)
    fields = {line.split(":")[0].lower(): line.split(":", 1)[1].strip() for _, line in lines[1:header]}
    assert fields["content-type"].startswith("text/event-stream")
    assert "no-cache" in fields["cache-control"] or "no-store" in fields["cache-control"]
    assert fields["x-request-id"]
    times = [at for at, line in lines[header:] if line.startswith("data: ")]
    assert len(times) > 20
    assert lines[-1][1] == "data: [DONE]" or lines[-2][1] == "data: [DONE]"
    # Were they sent at the end, all would arrive within a few milliseconds.
    assert times[-1] - times[0] > 0.2
    assert len({round(at, 3) for at in times}) > 15


def test_a_client_that_leaves_frees_its_row(server):
    body = json.dumps(BODIES["/v1/completions"] | {"max_tokens": 4000})
    process = subprocess.Popen(["curl", "-sSN", server.url + "/v1/completions", "-H", "Content-Type: application/json",
                                "-d", body], stdout=subprocess.PIPE, text=True)
    try:
        for line in process.stdout:
            if line.startswith("data: "):
                break
        assert "bobby_rows_running 1" in server.metrics()
    finally:
        process.kill()
        process.wait()
    deadline = time.monotonic() + 5
    while "bobby_rows_running 0" not in server.metrics():
        assert time.monotonic() < deadline, "the row still runs"
        time.sleep(0.05)
