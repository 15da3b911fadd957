"""/metrics is Prometheus text; its counters only grow; it has the names that a fleet's balancer asks for."""

import re

LINE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*\})? '
                  r'(NaN|[-+]?Inf|[-+]?[0-9.]+(?:e[-+]?[0-9]+)?)$')
BALANCER = {"vllm:num_requests_waiting", "vllm:num_requests_running", "vllm:lora_requests_info"}


def parsed(text: str) -> tuple[dict[str, float], dict[str, str]]:
    """The values by name and labels, and the types by name."""
    assert text.endswith("\n")
    values, kinds = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in kinds, f"{name} has two types"
            kinds[name] = kind
        elif line.startswith("#"):
            assert line.startswith("# HELP "), line
        else:
            match = LINE.match(line)
            assert match, line
            key = match[1] + (match[2] or "")
            assert key not in values, f"{key} stands twice"
            values[key] = float(match[3])
            family = match[1]
            assert family in kinds or re.sub("_(bucket|sum|count)$", "", family) in kinds, f"{family} has no type"
    return values, kinds


def test_the_format_and_the_type(server):
    response = server.http.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    values, kinds = parsed(response.text)
    assert set(kinds.values()) <= {"counter", "gauge", "histogram"}
    for name, kind in kinds.items():
        if kind == "counter":
            assert name.endswith("_total"), name


def test_counters_grow_by_what_was_done(server):
    before, kinds = parsed(server.metrics())
    for _ in range(3):
        answer = server.http.post("/v1/completions", json={"prompt": "Coffee is", "max_tokens": 5, "temperature": 0,
                                                           "ignore_eos": True}).json()
        assert answer["usage"]["completion_tokens"] == 5
    after, _ = parsed(server.metrics())
    for key, value in before.items():
        family = key.partition("{")[0]
        if kinds.get(family) == "counter" or kinds.get(re.sub("_(bucket|sum|count)$", "", family)) == "histogram":
            assert after[key] >= value, key
    assert after["bobby_generated_tokens_total"] - before["bobby_generated_tokens_total"] == 15
    assert after["bobby_prompt_tokens_total"] - before["bobby_prompt_tokens_total"] == \
        3 * answer["usage"]["prompt_tokens"]
    assert after["bobby_rows_running"] == 0 and after["bobby_requests_waiting"] == 0


def test_histograms_add_up(server):
    values, kinds = parsed(server.metrics())
    for name in (name for name, kind in kinds.items() if kind == "histogram"):
        series = {}
        for key, value in values.items():
            if key.startswith(name + "_bucket"):
                labels = re.sub(r',?le="[^"]*",?', "", key)
                series.setdefault(labels, []).append((float(re.search(r'le="([^"]*)"', key)[1]), value))
        assert series, name
        for buckets in series.values():
            counts = [count for _, count in sorted(buckets)]
            assert counts == sorted(counts) and sorted(buckets)[-1][0] == float("inf")


def test_names_of_the_inference_extension(server):
    values, _ = parsed(server.metrics())
    names = {key.partition("{")[0] for key in values}
    assert BALANCER <= names
    assert names & {"vllm:gpu_cache_usage_perc", "vllm:kv_cache_usage_perc"}
    usage = next(value for key, value in values.items() if "cache_usage_perc" in key)
    assert 0 <= usage <= 1
    info = next(key for key in values if key.startswith("vllm:lora_requests_info"))
    for label in ("running_lora_adapters", "waiting_lora_adapters", "max_lora"):
        assert label + "=" in info


def test_metrics_behind_a_key(tmp_path):
    from bobby_server import Server

    keys = tmp_path / "keys"
    keys.write_text("right-key\n")
    keys.chmod(0o600)
    with Server(tmp_path / "home", "--api-key-file", keys, "--metrics-key") as server:
        assert server.http.get("/metrics").status_code == 401
        assert server.http.get("/metrics", headers={"Authorization": "Bearer right-key"}).status_code == 200
