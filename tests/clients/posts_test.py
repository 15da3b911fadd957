"""POST /v1/posts: the posts of `bobby post`, alone or in company, whole or as a stream."""

import concurrent.futures

import pytest

from bobby_server import events, post

REQUEST = {"prompt": "write about coffee", "count": 2, "seed": 11, "max_tokens": 60}
FIELDS = {"index", "text", "graphemes", "tokens", "seed", "finish_reason", "tries", "mean_logprob", "prefill_ms",
          "decode_tok_s"}


def ask(server, **change) -> dict:
    response = server.http.post("/v1/posts", json=REQUEST | change)
    assert response.status_code == 200, response.text
    return response.json()


def texts(answer: dict) -> list[str]:
    return [each["text"] for each in answer["posts"]]


def stream(server, **change) -> list[dict]:
    with server.http.stream("POST", "/v1/posts", json=REQUEST | change | {"stream": True}) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        return events(response)


def test_shape(server):
    answer = ask(server)
    assert set(answer) == {"object", "seed", "posts", "rejected", "missing"}
    assert answer["object"] == "list" and answer["seed"] == 11 and answer["missing"] == 0
    assert [each["index"] for each in answer["posts"]] == [0, 1]
    for each in answer["posts"]:
        assert set(each) == FIELDS
        assert each["text"] and 20 <= each["graphemes"] <= 300 and 0 < each["tokens"] <= 60 and each["seed"] == 11
        assert each["finish_reason"] in ("stop", "length", "length_limit") and each["tries"] >= 1
        assert each["mean_logprob"] < 0 and each["decode_tok_s"] > 0


@pytest.mark.parametrize("voice, change", [
    (None, {}), ("voice1", {}), ("voice2:0.5", {}), (None, {"temperature": 1.2, "top_p": 0.8, "char_limit": 120}),
], ids=str)
def test_equals_the_command_line(server, voices, tmp_path, voice, change):
    options = [item for name, value in change.items() for item in (f"--{name.replace('_', '-')}", value)]
    adapters = []
    if voice:
        name, _, scale = voice.partition(":")
        options += ["--adapter", f"{voices[name]}{':' + scale if scale else ''}"]
        adapters = [{"name": name} | ({"scale": float(scale)} if scale else {})]
    printed = post(REQUEST["count"], REQUEST["prompt"], "--seed", REQUEST["seed"], "--max-tokens",
                   REQUEST["max_tokens"], *options, home=tmp_path)
    answer = ask(server, adapters=adapters, **change)
    for ours, theirs in zip(answer["posts"], printed, strict=True):
        for field in ("text", "graphemes", "tokens", "seed", "finish_reason", "tries"):
            assert ours[field] == theirs[field]
        assert ours["mean_logprob"] == pytest.approx(theirs["mean_logprob"], abs=1e-6)


def test_the_same_alone_and_among_sixteen_others(server):
    alone = texts(ask(server))

    def other(i):
        return texts(ask(server, seed=100 + i, prompt=f"number {i}", count=1 + i % 3,
                         adapters=[{"name": f"voice{1 + i % 3}", "scale": 0.5 + i / 16}] if i % 4 else []))

    with concurrent.futures.ThreadPoolExecutor(18) as pool:
        others = [pool.submit(other, i) for i in range(16)]
        mine = [pool.submit(lambda: texts(ask(server))) for _ in range(2)]
        assert [future.result() for future in mine] == [alone, alone]
        crowded = [future.result() for future in others]
    assert crowded == [other(i) for i in range(16)]
    assert len({text for each in crowded for text in each}) == sum(len(each) for each in crowded)


@pytest.mark.parametrize("change", [{}, {"adapters": [{"name": "voice3"}]}, {"count": 5, "min_chars": 150}], ids=str)
def test_a_stream_ends_in_the_same_posts(server, change):
    whole, parts = ask(server, **change), stream(server, **change)
    assert parts[0] == {"type": "start", "seed": 11, "count": (REQUEST | change)["count"], "char_limit": 300}
    assert parts[-1] == {"type": "done", "seed": 11, "posts": len(whole["posts"]), "missing": whole["missing"]}
    kinds = {"progress", "text", "rejected", "post"}
    assert {part["type"] for part in parts[1:-1]} <= kinds
    streamed = {part["post"]["index"]: part["post"] for part in parts if part["type"] == "post"}
    assert [streamed[index]["text"] for index in sorted(streamed)] == texts(whole)
    rejected = [(part["index"], part["attempt"], part["reason"], part["text"]) for part in parts
                if part["type"] == "rejected"]
    assert sorted(rejected) == sorted((r["index"], r["attempt"], r["reason"], r["text"]) for r in whole["rejected"])
    progress = [part for part in parts if part["type"] == "progress"]
    assert all(part["phase"] in ("queued", "prefill") and 0 <= part["done"] <= part["total"] for part in progress)


def test_the_streamed_text_is_the_raw_one(server):
    raw = ask(server, raw=True)
    parts = stream(server, raw=True)
    written = {}
    for part in parts:
        if part["type"] == "text":
            assert part["attempt"] == 0
            written[part["index"]] = written.get(part["index"], "") + part["text"]
    assert [written[index] for index in sorted(written)] == texts(raw)


def test_a_card_that_is_rejected_starts_over(server):
    parts = stream(server, count=5, min_chars=240, retries=3)
    attempts = {}
    for part in parts:
        if part["type"] == "text":
            assert part["attempt"] == attempts.get(part["index"], 0)
        elif part["type"] == "rejected":
            assert part["attempt"] == attempts.get(part["index"], 0)
            assert part["reason"]
            attempts[part["index"]] = part["attempt"] + 1
        elif part["type"] == "post":
            assert part["post"]["tries"] == attempts.get(part["post"]["index"], 0) + 1
    assert attempts, "none was rejected: the test shows nothing"


def test_missing_ones_are_counted(server):
    answer = ask(server, min_chars=290, retries=0, count=3)
    assert answer["missing"] == 3 - len(answer["posts"]) > 0
    assert len(answer["rejected"]) == answer["missing"]
    assert all(set(each) == {"index", "attempt", "reason", "text"} for each in answer["rejected"])


def test_without_a_seed_one_is_drawn_and_told(server):
    first = ask(server, seed=None)
    assert texts(ask(server, seed=first["seed"])) == texts(first)
    assert ask(server, seed=None)["seed"] != first["seed"]


def test_defaults_are_the_settings(server):
    settings = server.http.get("/v1/settings").json()
    assert settings["count"] == 3 and settings["char_limit"] == 300 and settings["max_tokens"] == 100
    assert settings["temperature"] == 0.7 and settings["top_p"] == 0.9 and settings["adapters"] == []
    assert settings["suggestions"]
    answer = server.http.post("/v1/posts", json={"seed": 3}).json()
    explicit = {name: settings[name] for name in ("count", "max_tokens", "temperature", "top_p", "char_limit")}
    assert texts(server.http.post("/v1/posts", json=explicit | {"seed": 3, "adapters": []}).json()) == texts(answer)
