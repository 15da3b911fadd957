"""The official Python client of OpenAI against `bobby serve`."""

import concurrent.futures
import math

import openai
import pytest

from bobby_server import Server

MESSAGES = [{"role": "user", "content": "Write one sentence about coffee."}]
PROMPT = "Coffee in the morning is"


@pytest.fixture(scope="module")
def client(server):
    return openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)


def chat(client, **settings):
    return client.chat.completions.create(**{"model": "demo", "messages": MESSAGES, "max_tokens": 24} | settings)


def complete(client, **settings):
    return client.completions.create(**{"model": "demo", "prompt": PROMPT, "max_tokens": 16} | settings)


def test_models_name_the_base_and_each_adapter(client):
    models = {model.id: model for model in client.models.list()}
    base = next(name for name in models if ":" not in name)
    assert {f"{base}:voice{i}" for i in (1, 2, 3)} < models.keys()
    assert models[f"{base}:voice1"].model_extra["parent"] == base
    adapter = models[f"{base}:voice1"].model_extra["adapter"]
    assert adapter["rank"] == 4 and adapter["scale"] == 1 and len(adapter["sha256"]) == 64
    assert len({models[f"{base}:voice{i}"].model_extra["adapter"]["sha256"] for i in (1, 2, 3)}) == 3


def test_chat(client):
    answer = chat(client, seed=1)
    assert answer.object == "chat.completion" and answer.id and answer.created > 1_700_000_000
    (choice,) = answer.choices
    assert choice.index == 0 and choice.message.role == "assistant" and choice.message.content.strip()
    assert choice.finish_reason in ("stop", "length")
    assert answer.usage.completion_tokens <= 24
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.prompt_tokens > 5
    assert answer.system_fingerprint


def test_content_may_be_parts(client):
    parts = [{"role": "user", "content": [{"type": "text", "text": "Write one sentence "},
                                          {"type": "text", "text": "about coffee."}]}]
    assert chat(client, seed=1, messages=parts).choices == chat(client, seed=1).choices


def test_a_seed_gives_the_same_text_and_another_seed_another(client):
    texts = [chat(client, seed=seed, temperature=1).choices[0].message.content for seed in (5, 5, 6)]
    assert texts[0] == texts[1] != texts[2]
    texts = {chat(client, temperature=1).choices[0].message.content for _ in range(3)}
    assert len(texts) > 1, "without a seed each is another"


def test_greedy_needs_no_seed(client):
    assert chat(client, temperature=0).choices[0].message == chat(client, temperature=0).choices[0].message


def test_length_and_stop(client):
    short = chat(client, max_tokens=3, temperature=0, extra_body={"ignore_eos": True})
    assert short.choices[0].finish_reason == "length" and short.usage.completion_tokens == 3
    assert chat(client, max_tokens=openai.NOT_GIVEN, max_completion_tokens=3, temperature=0,
                extra_body={"ignore_eos": True}).choices[0].message == short.choices[0].message
    text = complete(client, temperature=0).choices[0].text
    word = text.split()[3]
    stopped = complete(client, temperature=0, stop=[word, "never written"])
    assert stopped.choices[0].text == text[:text.index(word)] and stopped.choices[0].finish_reason == "stop"
    assert complete(client, temperature=0, stop=word).choices == stopped.choices


def test_stop_is_never_seen_in_a_stream(client):
    text = complete(client, temperature=0, max_tokens=32).choices[0].text
    stop = text[10:20]
    pieces = [chunk.choices[0].text for chunk in complete(client, temperature=0, max_tokens=32, stop=stop, stream=True)
              if chunk.choices]
    assert "".join(pieces) == text[:text.index(stop)]


def test_n_rows_differ_and_the_first_is_that_of_one(client):
    one = chat(client, seed=9, temperature=1)
    four = chat(client, seed=9, temperature=1, n=4)
    assert [choice.index for choice in four.choices] == [0, 1, 2, 3]
    assert four.choices[0].message == one.choices[0].message
    assert len({choice.message.content for choice in four.choices}) == 4
    assert four.usage.prompt_tokens == one.usage.prompt_tokens
    assert four.usage.completion_tokens > one.usage.completion_tokens


@pytest.mark.parametrize("settings", [{"temperature": 0}, {"seed": 4, "temperature": 1, "n": 3}])
def test_a_chat_stream_holds_the_same_text(client, settings):
    whole = chat(client, **settings)
    texts, reasons, usage, ids = {}, {}, None, set()
    for chunk in chat(client, stream=True, stream_options={"include_usage": True}, **settings):
        assert chunk.object == "chat.completion.chunk"
        ids.add(chunk.id)
        if chunk.usage:
            assert usage is None and not chunk.choices
            usage = chunk.usage
        for choice in chunk.choices:
            assert choice.index not in reasons, "something came after the reason"
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
            if choice.finish_reason:
                reasons[choice.index] = choice.finish_reason
    assert texts == {choice.index: choice.message.content for choice in whole.choices}
    assert reasons == {choice.index: choice.finish_reason for choice in whole.choices}
    assert usage.completion_tokens == whole.usage.completion_tokens
    assert usage.prompt_tokens == whole.usage.prompt_tokens
    assert len(ids) == 1


def test_a_stream_has_usage_only_when_asked(client):
    assert all(chunk.usage is None for chunk in chat(client, stream=True, max_tokens=4))


def test_streamed_text_is_never_cut_within_a_character(client):
    settings = {"temperature": 1.5, "top_p": 1, "seed": 2, "max_tokens": 120, "prompt": "🍵 日本語 emoji 😀😃 ж"}
    whole = complete(client, **settings).choices[0].text
    pieces = [chunk.choices[0].text for chunk in complete(client, stream=True, **settings) if chunk.choices]
    assert "".join(pieces) == whole


def test_chat_logprobs(client):
    answer = chat(client, temperature=0, logprobs=True, top_logprobs=5, max_tokens=8)
    entries = answer.choices[0].logprobs.content
    assert len(entries) in (answer.usage.completion_tokens, answer.usage.completion_tokens - 1)
    for entry in entries:
        assert entry.logprob <= 0 and len(entry.top_logprobs) == 5
        likelihoods = [top.logprob for top in entry.top_logprobs]
        assert likelihoods == sorted(likelihoods, reverse=True)
        assert sum(math.exp(value) for value in likelihoods) <= 1.001
        assert entry.token == entry.top_logprobs[0].token, "greedy takes the likeliest"
        assert math.isclose(entry.logprob, likelihoods[0], abs_tol=1e-4)
    joined = b"".join(bytes(entry.bytes) for entry in entries).decode()
    assert joined.startswith(answer.choices[0].message.content)
    assert chat(client, temperature=0, max_tokens=8).choices[0].logprobs is None


def test_streamed_logprobs_are_the_same(client):
    settings = {"temperature": 0, "logprobs": True, "top_logprobs": 2, "max_tokens": 8}
    whole = chat(client, **settings).choices[0].logprobs.content
    streamed = [entry for chunk in chat(client, stream=True, **settings) for choice in chunk.choices
                if choice.logprobs for entry in choice.logprobs.content or []]
    assert [(entry.token, entry.logprob) for entry in streamed] == [(entry.token, entry.logprob) for entry in whole]


def test_completion_logprobs(client):
    logprobs = complete(client, temperature=0, logprobs=3, max_tokens=6).choices[0].logprobs
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == len(logprobs.top_logprobs)
    assert len(logprobs.text_offset) == len(logprobs.tokens)
    assert all(len(top) >= 3 for top in logprobs.top_logprobs)


def test_several_prompts_and_token_ids(client):
    both = complete(client, prompt=[PROMPT, "Tea is"], temperature=0)
    assert [choice.index for choice in both.choices] == [0, 1]
    assert both.choices[0].text == complete(client, temperature=0).choices[0].text
    assert both.choices[1].text == complete(client, prompt="Tea is", temperature=0).choices[0].text
    ids = complete(client, prompt=[504, 2365, 314], temperature=0)
    assert ids.usage.prompt_tokens == 3 and ids.choices[0].text


def test_logit_bias_forbids_and_forces(client):
    forced = complete(client, temperature=0, max_tokens=5, logit_bias={"504": 100}, extra_body={"ignore_eos": True})
    again = complete(client, temperature=0, max_tokens=5, prompt=[504], logit_bias={"504": 100},
                     extra_body={"ignore_eos": True})
    assert forced.choices[0].text == again.choices[0].text, "each token was the forced one"
    free = complete(client, temperature=0, max_tokens=1).choices[0].text
    assert forced.choices[0].text[:len(free)] != free


def test_penalties_change_what_is_written(client):
    plain = complete(client, temperature=0, max_tokens=60, extra_body={"ignore_eos": True}).choices[0].text
    for setting in ({"frequency_penalty": 2}, {"presence_penalty": 2}):
        assert complete(client, temperature=0, max_tokens=60, extra_body={"ignore_eos": True},
                        **setting).choices[0].text != plain


def test_adapters_by_name_and_by_list(client):
    base = chat(client, temperature=0).choices[0].message.content
    named = {name: chat(client, temperature=0, model=name).choices[0].message.content
             for name in ("demo:voice1", "demo:voice2", "demo:voice3")}
    assert len({base, *named.values()}) == 4
    assert chat(client, temperature=0, model="voice1").choices[0].message.content == named["demo:voice1"]
    listed = chat(client, temperature=0, extra_body={"lora": [{"name": "voice1", "scale": 1.0}]})
    assert listed.choices[0].message.content == named["demo:voice1"]
    none = chat(client, temperature=0, extra_body={"lora": [{"name": "voice1", "scale": 0.0}]})
    assert none.choices[0].message.content == base


def test_many_at_once_get_what_each_gets_alone(client):
    def ask(i):
        return chat(client, seed=i, temperature=1, model=("demo", "demo:voice1", "demo:voice2")[i % 3],
                    max_tokens=16).choices[0].message.content

    alone = [ask(i) for i in range(12)]
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        assert list(pool.map(ask, range(12))) == alone


@pytest.mark.parametrize("settings, kind, param", [
    ({"temperature": -1}, openai.BadRequestError, "temperature"),
    ({"max_tokens": 0}, openai.BadRequestError, "max_tokens"),
    ({"n": 0}, openai.BadRequestError, "n"),
    ({"messages": []}, openai.BadRequestError, "messages"),
    ({"model": "gpt-4o"}, openai.NotFoundError, "model"),
    ({"model": "demo:nobody"}, openai.NotFoundError, "model"),
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, openai.BadRequestError, "tools"),
    ({"extra_body": {"temprature": 1}}, openai.BadRequestError, "temprature"),
])
def test_errors_are_the_clients_own_classes(client, settings, kind, param):
    with pytest.raises(kind) as caught:
        chat(client, **settings)
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error" and caught.value.code
    assert caught.value.request_id


def test_keys(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("# of the test\nsecret-1\nsecret-2\n")
    keys.chmod(0o600)
    with Server(tmp_path / "home", "--api-key-file", keys) as server:
        for key in ("secret-1", "secret-2"):
            client = openai.OpenAI(base_url=server.url + "/v1", api_key=key, max_retries=0)
            assert chat(client, max_tokens=2).choices
        for key in ("secret", "secret-11", "# of the test"):
            client = openai.OpenAI(base_url=server.url + "/v1", api_key=key, max_retries=0)
            with pytest.raises(openai.AuthenticationError) as caught:
                chat(client, max_tokens=2)
            assert caught.value.type == "authentication_error"
        assert server.http.get("/v1/models", headers={"X-Api-Key": "secret-2"}).status_code == 200
        assert server.http.get("/v1/models").status_code == 401
        assert server.http.get("/health").status_code == 200
        assert server.http.get("/ready").status_code == 200
        assert server.http.get("/").status_code == 200
        assert "secret" not in server.log_text()
