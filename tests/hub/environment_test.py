"""The environment variables of the hub's library, understood as it understands them."""

import pytest

import cache
from clients import official
from repository import WANTED


@pytest.mark.parametrize("variables", [
    {"HF_HUB_CACHE": "{home}/one", "HF_HOME": "{home}/two", "XDG_CACHE_HOME": "{home}/three"},
    {"HF_HOME": "{home}/two", "XDG_CACHE_HOME": "{home}/three"},
    {"XDG_CACHE_HOME": "{home}/three"},
    {"HUGGINGFACE_HUB_CACHE": "{home}/legacy"},
    {"HUGGINGFACE_HUB_CACHE": "{home}/legacy", "HF_HUB_CACHE": "{home}/one"},
    {"HUGGINGFACE_HUB_CACHE": "{home}/legacy", "HF_HOME": "{home}/two"},
    {"HF_HOME": "~/tilde"},
    {"HF_HOME": "$HOME/variable"},
    {"HF_HUB_CACHE": "~/tilde/cache"},
    {},
], ids=lambda variables: "+".join(variables) or "none")
def test_where_the_cache_is(machine, tiny, variables):
    machine.set(**{name: value.format(home=machine.home) for name, value in variables.items()})
    machine.pull("acme/tiny")
    folder = official(machine, "from huggingface_hub import constants\nresult = constants.HF_HUB_CACHE")
    machine.cache = type(machine.home)(folder)
    machine.check(tiny, WANTED)


@pytest.mark.parametrize("value", ["1", "ON", "yes", "True", "tRuE"])
def test_offline(machine, hub, tiny, value):
    message = machine.set(HF_HUB_OFFLINE=value).refused("model", "pull", "acme/tiny")
    assert "offline" in message and "acme/tiny" in message
    assert not hub.log


@pytest.mark.parametrize("value", ["0", "", "no", "off", "2"])
def test_not_offline(machine, tiny, value):
    machine.set(HF_HUB_OFFLINE=value).pull("acme/tiny")
    machine.check(tiny, WANTED)


def test_offline_for_transformers(machine, hub, tiny):
    assert "offline" in machine.set(TRANSFORMERS_OFFLINE="1").refused("model", "pull", "acme/tiny")
    machine.set(TRANSFORMERS_OFFLINE="1", HF_HUB_OFFLINE="0").pull("acme/tiny")
    machine.check(tiny, WANTED)


def test_offline_option(machine, hub, tiny):
    assert "offline" in machine.refused("model", "pull", "acme/tiny", "--offline")
    assert not hub.log and not machine.cache.exists()


def test_offline_with_a_part_of_it(machine, hub, tiny):
    official(machine, "hf.hf_hub_download('acme/tiny', 'config.json')")
    hub.forget()
    message = machine.refused("model", "pull", "acme/tiny", "--offline")
    assert "offline" in message and not hub.log


@pytest.mark.parametrize("endpoint", ["{url}/", "{localhost}", "{url}//"])
def test_endpoint(machine, hub, tiny, endpoint):
    localhost = f"http://localhost:{hub.hub_server.server_port}"
    machine.set(HF_ENDPOINT=endpoint.format(url=hub.url, localhost=localhost)).pull("acme/tiny")
    machine.check(tiny, WANTED)


@pytest.mark.parametrize("endpoint", ["http://192.0.2.1", "http://huggingface.co", "ftp://127.0.0.1", "file:///etc",
                                      "127.0.0.1", "http://user:password@127.0.0.1:{port}", "https://"])
def test_endpoints_that_are_refused(machine, hub, tiny, endpoint):
    """Without encryption only to this machine; nothing but HTTP."""
    machine.set(HF_ENDPOINT=endpoint.format(port=hub.hub_server.server_port))
    machine.refused("model", "pull", "acme/tiny", timeout=5)
    assert not hub.log and not machine.cache.exists()


def test_progress(machine, hub, tiny):
    loud = machine.pull("acme/tiny").stderr
    assert "model-00001-of-00002.safetensors" in loud and "\r" not in loud and "\x1b" not in loud  # no terminal
    machine.succeed("model", "rm", "acme/tiny")
    assert "model-00001" not in machine.set(HF_HUB_DISABLE_PROGRESS_BARS=1).pull("acme/tiny").stderr
    machine.succeed("model", "rm", "acme/tiny")
    machine.set(HF_HUB_DISABLE_PROGRESS_BARS=None)
    assert machine.pull("acme/tiny", "-q").stderr == ""


def test_it_says_where_and_which_commit(machine, tiny):
    result = machine.pull("acme/tiny")
    assert tiny.head in result.stdout + result.stderr
    assert str(cache.snapshot(machine.cache, tiny)) in result.stdout


def test_proxies_of_the_environment_do_not_reach_loopback_tests(machine, tiny):
    """`no_proxy` is honoured: a proxy that leads nowhere is not asked."""
    machine.set(http_proxy="http://127.0.0.1:9", no_proxy="127.0.0.1,localhost").pull("acme/tiny")
    machine.check(tiny, WANTED)
