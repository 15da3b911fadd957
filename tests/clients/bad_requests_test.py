"""More than a hundred kinds of bad requests: each gets its status and names its field, and the server lives on."""

import json
import socket
import time

import pytest

from bobby_server import Server

CHAT, TEXT, POSTS, DRAFTS, ADAPTERS = ("/v1/chat/completions", "/v1/completions", "/v1/posts", "/v1/drafts",
                                       "/v1/adapters")
USER = [{"role": "user", "content": "hi"}]
GOOD = {
    CHAT: {"messages": USER, "max_tokens": 2},
    TEXT: {"prompt": "hi", "max_tokens": 2},
    POSTS: {"prompt": "hi", "count": 1, "max_tokens": 2},
    DRAFTS: {"text": "hi"},
    ADAPTERS: {"path": "/nowhere"},
}

# path, what is put over the good body, the field that must be named, the status
FIELDS = [
    # Sampling, where every number has its type and its range.
    *[(CHAT, {"temperature": value}, "temperature", 400) for value in (-0.1, 11, "hot", True, [1], {})],
    *[(CHAT, {"top_p": value}, "top_p", 400) for value in (-0.1, 1.1, "all", False)],
    *[(CHAT, {"max_tokens": value}, "max_tokens", 400) for value in (0, -1, 1.5, "10", True, 10**12, 2**63)],
    *[(CHAT, {"max_completion_tokens": value}, "max_completion_tokens", 400) for value in (0, "x")],
    *[(CHAT, {"n": value}, "n", 400) for value in (0, -1, 2.5, "2", 10**6)],
    *[(CHAT, {"seed": value}, "seed", 400) for value in ("seven", 1.5, True, 2**64)],
    *[(CHAT, {"stop": value}, "stop", 400) for value in (7, [1], ["a"] * 17, {"a": 1}, [None])],
    *[(CHAT, {"stream": value}, "stream", 400) for value in ("yes", 1, [])],
    *[(CHAT, {"stream_options": value}, "stream_options", 400) for value in ("usage", 1, {"include_usage": True})],
    (CHAT, {"stream": True, "stream_options": {"include_usag": True}}, "stream_options.include_usag", 400),
    *[(CHAT, {"logprobs": value}, "logprobs", 400) for value in ("yes", 3)],
    *[(CHAT, {"logprobs": True, "top_logprobs": value}, "top_logprobs", 400) for value in (-1, 21, "5", 1.5)],
    (CHAT, {"top_logprobs": 3}, "top_logprobs", 400),
    *[(CHAT, {"logit_bias": value}, "logit_bias", 400) for value in
      ([1], "x", {"word": 1}, {"1": "x"}, {"999999999": 1}, {"-1": 1}, {"1": 101}, {"1": -101})],
    *[(CHAT, {"presence_penalty": value}, "presence_penalty", 400) for value in (3, -3, "x")],
    *[(CHAT, {"frequency_penalty": value}, "frequency_penalty", 400) for value in (3, -3, "x")],
    *[(CHAT, {"top_k": value}, "top_k", 400) for value in (-1, 1.5, "x")],
    *[(CHAT, {"min_p": value}, "min_p", 400) for value in (-0.1, 1.1, "x")],
    *[(CHAT, {"repetition_penalty": value}, "repetition_penalty", 400) for value in (0, -1, "x")],
    *[(CHAT, {"ignore_eos": value}, "ignore_eos", 400) for value in (1, "x")],
    *[(CHAT, {"response_format": value}, "response_format", 400) for value in ({"type": "json_object"}, "text")],
    (CHAT, {"user": 7}, "user", 400),
    # What OpenAI knows and this server does not: by name.
    *[(CHAT, {name: value}, name, 400) for name, value in {
        "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "required",
        "functions": [{"name": "f"}], "function_call": "f", "audio": {"voice": "x", "format": "wav"},
        "modalities": ["text", "audio"], "prediction": {"type": "content", "content": "x"},
        "reasoning_effort": "high", "web_search_options": {"search_context_size": "low"},
    }.items()],
    *[(TEXT, {name: value}, name, 400) for name, value in {"echo": True, "suffix": "end", "best_of": 3}.items()],
    # Misspelt, or none of ours.
    *[(path, {name: 1}, name, 400) for path, name in
      [(CHAT, "temprature"), (CHAT, "max_token"), (CHAT, ""), (CHAT, "x" * 1000), (TEXT, "promt"), (POSTS, "cont"),
       (POSTS, "messages"), (DRAFTS, "txt"), (DRAFTS, "status"), (ADAPTERS, "folder")]],
    # Messages.
    *[(CHAT, {"messages": value}, "messages", 400) for value in (None, [], "hi", {}, 3)],
    *[(CHAT, {"messages": [value]}, "messages", 400) for value in
      ("hi", {}, {"role": "user"}, {"content": "hi"}, {"role": "robot", "content": "hi"}, {"role": 1, "content": "hi"},
       {"role": "user", "content": 7}, {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]},
       {"role": "user", "content": [{"type": "text"}]}, {"role": "user", "content": "hi", "mood": "good"},
       {"role": "tool", "content": "hi", "tool_call_id": "1"})],
    # Prompts.
    *[(TEXT, {"prompt": value}, "prompt", 400) for value in
      (None, 7, {}, [], [1.5], [-1], [10**9], ["a", 1], [True], [[]], [[1, "a"]])],
    (TEXT, {"prompt": "word " * 20_000}, "prompt", 400),
    *[(TEXT, {"logprobs": value}, "logprobs", 400) for value in (-1, 21, True, "x")],
    # Models and adapters.
    *[(path, {"model": "nobody"}, "model", 404) for path in (CHAT, TEXT)],
    *[(CHAT, {"model": value}, "model", 404) for value in ("demo:nobody", "other:voice1", "../demo", "demo:")],
    *[(CHAT, {"model": value}, "model", 400) for value in (7, [], {})],
    (CHAT, {"lora": [{"name": "nobody"}]}, "lora", 404),
    *[(CHAT, {"lora": value}, "lora", 400) for value in
      ("voice1", {"name": "voice1"}, ["voice1"], [{"scale": 1}], [{"name": 1}], [{"name": "voice1", "scale": "x"}],
       [{"name": "voice1", "weight": 1}])],
    (CHAT, {"lora": [{"name": "voice1", "scale": 1e300}]}, "lora", 400),
    # Posts.
    *[(POSTS, {"count": value}, "count", 400) for value in (0, 11, -1, 1.5, "3", True)],
    *[(POSTS, {name: value}, name, 400) for name, value in {
        "max_tokens": 0, "temperature": -1, "top_p": 2, "top_k": -1, "min_p": 2, "seed": -1, "system": 7,
        "char_limit": -1, "min_chars": -1, "retries": -1, "keep_emojis": "x", "keep_hashtags": 1, "hard_limit": "x",
        "raw": 1, "stream": "x", "prompt": 7, "adapters": "voice1"}.items()],
    (POSTS, {"adapters": [{"name": "nobody"}]}, "adapters", 404),
    *[(POSTS, {"adapters": value}, "adapters", 400) for value in ([7], [{}], [{"name": "voice1", "scale": "x"}])],
    # Drafts.
    *[(DRAFTS, {"text": value}, "text", 400) for value in (None, "", 7, [], "x" * 10_001)],
    *[(DRAFTS, {name: 1.5}, name, 400) for name in ("prompt", "adapter", "seed")],
    # Adapters.
    *[(ADAPTERS, {"path": value}, "path", status) for value, status in
      (("/nowhere", 404), ("", 400), (7, 400), (None, 400))],
    *[(ADAPTERS, {"name": value}, "name", 400) for value in ("", "../x", "a/b", "a:b", "a\nb", 7, "x" * 1000)],
]

# method, path, status: no body, or one that does not matter
PLACES = [
    ("GET", "/nowhere", 404), ("GET", "/v1", 404), ("GET", "/v1/", 404), ("POST", "/v1/embeddings", 404),
    ("GET", "/v1/drafts/999999", 404), ("GET", "/v1/drafts/x", 404), ("GET", "/v1/drafts/-1", 404),
    ("GET", "/v1/drafts/99999999999999999999", 404), ("DELETE", "/v1/drafts/999999", 404),
    ("DELETE", "/v1/adapters/nobody", 404),
    ("GET", CHAT, 405), ("PUT", CHAT, 405), ("DELETE", POSTS, 405), ("POST", "/v1/models", 405), ("PUT", DRAFTS, 405),
    ("PATCH", ADAPTERS, 405), ("POST", "/health", 405), ("POST", "/metrics", 405), ("POST", "/", 405),
    ("GET", "/v1/drafts?limit=0", 400), ("GET", "/v1/drafts?limit=x", 400), ("GET", "/v1/drafts?limit=100000", 400),
    ("GET", "/v1/drafts?before=x", 400), ("GET", "/v1/drafts?status=burnt", 400), ("GET", "/v1/drafts?colour=red", 400),
    ("GET", "/v1/drafts?query=%ff", 400),
]

BODIES = [b"", b"{", b"[]", b"7", b"null", b'"text"', b"{}{}", b"{'a': 1}", b'{"a": 1,}', b"\xff\xfe{\x00}\x00",
          b'{"messages": [{"role": "user", "content": "\xff"}]}', b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
          b'{"a":' * 5000, b"[" * 100_000, b'{"max_tokens": 1e999}', b'{"max_tokens": NaN}', b"\x00", b"{} x",
          b'{"max_tokens": 1, "max_tokens": 2, "messages": []}']


def check_error(response, status: int, param=None) -> None:
    assert response.status_code == status, response.text[:500]
    assert response.headers["content-type"].startswith("application/json")
    assert response.headers["x-request-id"]
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"] and "\n" not in error["message"]
    kinds = {401: "authentication_error", 429: "rate_limit_error"}
    assert error["type"] == kinds.get(status, "invalid_request_error" if status < 500 else "server_error")
    if param is not None:
        named = error["param"] or ""
        # "messages[0].role" names messages, too.
        assert named == param or named.startswith((param + ".", param + "[")), error


def short(value) -> str:
    text = json.dumps(value)
    return text if len(text) < 60 else text[:50] + "..."


@pytest.mark.parametrize("path, change, param, status", FIELDS,
                         ids=[f"{path} {short(change)}" for path, change, _, _ in FIELDS])
def test_fields(server, voices, path, change, param, status):
    body = GOOD[path] | change
    if path == ADAPTERS and "path" not in change:
        body["path"] = str(voices["voice1"])  # so that nothing but the change is wrong
    response = server.http.post(path, json=body)
    check_error(response, status, param)
    assert server.alive()


@pytest.mark.parametrize("method, path, status", PLACES)
def test_places(server, method, path, status):
    response = server.http.request(method, path)
    check_error(response, status)
    if status == 405:
        assert response.headers["allow"]
    if status == 400 and "%ff" not in path:  # where the whole target is no text
        assert response.json()["error"]["param"] in path
    assert server.alive()


@pytest.mark.parametrize("path", [CHAT, DRAFTS])
@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:40]))
def test_bodies(server, path, body):
    check_error(server.http.post(path, content=body, headers={"Content-Type": "application/json"}), 400)
    assert server.alive()


def test_unknown_fields_name_the_nearest(server):
    response = server.http.post(CHAT, json=GOOD[CHAT] | {"temprature": 1})
    assert "temperature" in response.json()["error"]["message"]


def test_openai_fields_that_ask_for_nothing_are_taken(server):
    nothing = {"tools": [], "functions": None, "tool_choice": "none", "audio": None, "modalities": ["text"],
               "response_format": {"type": "text"}, "logit_bias": None, "stop": None, "n": 1, "user": "me"}
    response = server.http.post(CHAT, json=GOOD[CHAT] | nothing)
    assert response.status_code == 200, response.text


def test_content_types(server):
    body = json.dumps(GOOD[TEXT])
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        check_error(server.http.post(TEXT, content=body, headers={"Content-Type": kind}), 415)
    for kind in ("application/json", "application/json; charset=utf-8"):
        assert server.http.post(TEXT, content=body, headers={"Content-Type": kind}).status_code == 200
    assert server.alive()


@pytest.mark.parametrize("path", ["/../etc/passwd", "/assets/../../etc/passwd", "/assets/%2e%2e/%2e%2e/etc/passwd",
                                  "/assets/..%2f..%2fetc/passwd", "/assets//etc/passwd", "/assets/%00", "/%ff",
                                  "/assets/....//....//etc/passwd", "/v1/adapters/..%2f..", "/%zz"])
def test_paths_lead_nowhere(server, path):
    status, text = raw(server, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: close\r\n\r\n")
    assert status in (400, 404, 405), text
    assert "root:" not in text
    assert server.alive()


def test_hosts_and_origins(server):
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "169.254.169.254"):
        check_error(server.http.get("/v1/models", headers={"Host": host}), 403)
    for host in (f"localhost:{server.port}", f"127.0.0.1:{server.port}", f"[::1]:{server.port}"):
        assert server.http.get("/v1/models", headers={"Host": host}).status_code == 200, host
    for origin in ("http://evil.example", "null", "https://127.0.0.1", f"http://127.0.0.1:{server.port}0", "x"):
        response = server.http.post(TEXT, json=GOOD[TEXT], headers={"Origin": origin})
        check_error(response, 403)
        assert not [name for name in response.headers if name.startswith("access-control-")]
    assert server.http.post(TEXT, json=GOOD[TEXT], headers={"Origin": server.url}).status_code == 200
    assert server.alive()


def test_request_ids(server):
    assert server.http.get("/health", headers={"X-Request-Id": "mine-7"}).headers["x-request-id"] == "mine-7"
    for bad in ("x" * 1000, "a b", 'a"b'):
        assert server.http.get("/health", headers={"X-Request-Id": bad}).headers["x-request-id"] != bad


def test_huge_bodies(server):
    body = b'{"prompt": "' + b"x" * (64 << 20) + b'"}'
    try:
        check_error(server.http.post(TEXT, content=body, headers={"Content-Type": "application/json"}), 413)
    except Exception as error:  # noqa: BLE001: it may also close while we still send
        assert "httpx" in type(error).__module__, error
    # Said beforehand, it is answered before a byte of it.
    status, text = raw(server, f"POST {TEXT} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
                               f"Content-Type: application/json\r\nContent-Length: {1 << 40}\r\n\r\n")
    assert status == 413, text
    # A length that was not said, in pieces.
    piece = "10000\r\n" + "x" * 0x10000 + "\r\n"
    status, text = raw(server, f"POST {TEXT} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
                               f"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + piece * 300)
    assert status in (413, None), text
    assert server.alive()


def raw(server, text: str | bytes, seconds: float = 30, close: bool = False):
    """The status (None: the connection was closed without one) and the text of the answer to bytes as they are."""
    data = text if isinstance(text, bytes) else text.encode("latin-1")
    answer = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=seconds) as sock:
        try:
            sock.sendall(data)
            if close:
                sock.shutdown(socket.SHUT_WR)
            while piece := sock.recv(65536):
                answer += piece
                head, _, rest = answer.partition(b"\r\n\r\n")
                lengths = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if
                           line.lower().startswith(b"content-length")]
                if lengths and len(rest) >= lengths[0]:
                    break
        except (ConnectionResetError, BrokenPipeError):
            pass
    status = int(answer.split()[1]) if answer.startswith(b"HTTP/1.") else None
    return status, answer.decode("latin-1")


HOST = "Host: 127.0.0.1\r\n"


@pytest.mark.parametrize("text", [
    "\r\n\r\n", "hello\r\n\r\n", "GET\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\nHost\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "G" * 100_000 + " / HTTP/1.1\r\n\r\n",
    "GET /" + "x" * 100_000 + " HTTP/1.1\r\n" + HOST + "\r\n",
    "GET / HTTP/1.1\r\n" + HOST + "X: " + "x" * 100_000 + "\r\n\r\n",
    "GET / HTTP/1.1\r\n" + HOST + "".join(f"X-{i}: y\r\n" for i in range(10_000)) + "\r\n",
    "GET / HTTP/1.1\r\n" + HOST + "Host: evil.example\r\n\r\n", "GET / HTTP/1.1\r\n" + HOST + "Bad Name: x\r\n\r\n",
    "GET / HTTP/1.1\r\n" + HOST + "X: a\x00b\r\n\r\n",
    f"POST {TEXT} HTTP/1.1\r\n" + HOST + "Content-Length: x\r\n\r\n",
    f"POST {TEXT} HTTP/1.1\r\n" + HOST + "Content-Length: -1\r\n\r\n",
    f"POST {TEXT} HTTP/1.1\r\n" + HOST + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    f"POST {TEXT} HTTP/1.1\r\n" + HOST + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    f"POST {TEXT} HTTP/1.1\r\n" + HOST + "Transfer-Encoding: gzip\r\n\r\n",
    f"POST {TEXT} HTTP/1.1\r\n" + HOST + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    f"POST {TEXT} HTTP/1.1\r\n" + HOST + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx",
], ids=lambda text: repr(text[:60]))
def test_what_is_no_http(server, text):
    status, answer = raw(server, text, close=True)
    assert status is None or 400 <= status < 600 and status != 500, answer[:300]
    assert server.alive()


def test_half_a_request_and_gone(server):
    for text in ("", "POST ", f"POST {TEXT} HTTP/1.1\r\nHo", f"POST {TEXT} HTTP/1.1\r\n{HOST}Content-Length: 100\r\n\r\n",
                 f'POST {TEXT} HTTP/1.1\r\n{HOST}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"prompt": '):
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", server.port)) as sock:
                sock.sendall(text.encode())
        assert server.alive()


def test_streams_that_nobody_reads(server):
    body = json.dumps({"prompt": "Once", "max_tokens": 2000, "ignore_eos": True, "stream": True})
    request = (f"POST {TEXT} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
               f"Content-Length: {len(body)}\r\n\r\n{body}").encode()
    sockets = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    for sock in sockets:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(request)
    time.sleep(0.5)
    assert server.alive()
    start = time.monotonic()
    for sock in sockets:
        sock.close()
    assert server.http.post(TEXT, json=GOOD[TEXT]).status_code == 200
    assert time.monotonic() - start < 10, "others do not wait for those who left"
    assert server.alive()


def test_slow_bodies_do_not_hold_others_up(tmp_path):
    """A drop now and then: the server ends it by itself, and serves others meanwhile."""
    with Server(tmp_path / "home") as server:
        head = f"POST {TEXT} HTTP/1.1\r\n{HOST}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
        sockets = []
        for text in [head] * 20 + [f"POST {TEXT} HTTP/1.1\r\n"] * 20:
            sock = socket.create_connection(("127.0.0.1", server.port))
            sock.sendall(text.encode())
            sockets.append(sock)
        ended, deadline = set(), time.monotonic() + 60
        while len(ended) < len(sockets) and time.monotonic() < deadline:
            assert server.alive()
            for index, sock in enumerate(sockets):
                if index in ended:
                    continue
                try:
                    sock.sendall(b" ")
                    sock.settimeout(0.01)
                    data = sock.recv(65536)
                    assert not data or b" 408 " in data or b" 400 " in data, data
                    ended.add(index)
                except (ConnectionResetError, BrokenPipeError):
                    ended.add(index)
                except TimeoutError:
                    pass
            time.sleep(1)
        for sock in sockets:
            sock.close()
        assert len(ended) == len(sockets), f"{len(sockets) - len(ended)} slow requests were still open after a minute"
        assert server.http.post(TEXT, json=GOOD[TEXT]).status_code == 200


def test_keys_are_asked_for(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("right-key\n")
    keys.chmod(0o600)
    with Server(tmp_path / "home", "--api-key-file", keys) as server:
        bad = [{}, {"Authorization": ""}, {"Authorization": "Bearer"},
               {"Authorization": "Bearer wrong"}, {"Authorization": "Basic cmlnaHQta2V5"},
               {"Authorization": "right-key"}, {"Authorization": "Bearer right-key x"}, {"X-Api-Key": "wrong"},
               {"X-Api-Key": ""}, {"Authorization": "Bearer " + "x" * 5000}]
        for headers in bad:
            for method, path in [("POST", TEXT), ("GET", "/v1/models"), ("GET", "/v1/drafts"),
                                 ("DELETE", "/v1/adapters/x"), ("GET", "/v1/settings")]:
                response = server.http.request(method, path, headers=headers)
                check_error(response, 401)
        for path in ("/health", "/ready", "/", "/metrics"):
            assert server.http.get(path).status_code == 200
        good = {"Authorization": "Bearer right-key"}
        assert server.http.post(TEXT, json=GOOD[TEXT], headers=good).status_code == 200


def test_there_are_a_hundred_kinds():
    assert len(FIELDS) + len(PLACES) + len(BODIES) >= 200
