"""A full queue answers at once; clients take turns."""

import concurrent.futures
import time

import httpx

from bobby_server import Server

LONG = {"prompt": "Coffee is", "max_tokens": 200, "temperature": 0, "ignore_eos": True}


def test_a_full_queue_answers_at_once(home):
    with Server(home, "--max-rows", "2", "--max-queue", "4") as server:
        def ask(_):
            start = time.monotonic()
            response = httpx.post(server.url + "/v1/completions", json=LONG, timeout=300)
            return response, time.monotonic() - start

        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            answers = list(pool.map(ask, range(24)))
        good = [response for response, _ in answers if response.status_code == 200]
        refused = [(response, seconds) for response, seconds in answers if response.status_code != 200]
        assert len(good) >= 6 and len(refused) >= 12
        assert len({response.json()["choices"][0]["text"] for response in good}) == 1
        for response, seconds in refused:
            assert response.status_code == 429, response.text
            assert int(response.headers["retry-after"]) >= 1
            error = response.json()["error"]
            assert error["type"] == "rate_limit_error" and error["code"] == "busy"
            assert seconds < 2
        assert server.http.post("/v1/completions", json=LONG | {"max_tokens": 2}).status_code == 200
        streamed = server.http.post("/v1/completions", json=LONG | {"max_tokens": 2, "stream": True})
        assert streamed.status_code == 200


def test_a_refused_stream_is_refused_before_it_begins(home):
    with Server(home, "--max-rows", "1", "--max-queue", "1") as server:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: httpx.post(server.url + "/v1/completions", json=LONG | {"stream": True},
                                                         timeout=300), range(8)))
        assert {response.status_code for response in answers} == {200, 429}
        assert all(response.text.endswith("data: [DONE]\n\n") for response in answers if response.status_code == 200)


def test_prompts_longer_than_the_context_are_refused(server):
    response = server.http.post("/v1/completions", json={"prompt": [504] * 9000, "max_tokens": 1})
    assert response.status_code == 400 and response.json()["error"]["param"] == "prompt", response.text
    # What does not fit any more ends at the context's end.
    response = server.http.post("/v1/completions", json={"prompt": [504] * 8180, "max_tokens": 1000, "ignore_eos": True})
    assert response.json()["choices"][0]["finish_reason"] == "length", response.text
    assert response.json()["usage"]["completion_tokens"] <= 12
