"""The OpenAPI document: complete, and kept by every answer to what schemathesis makes of it."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (content_type_conformance, response_headers_conformance,
                                               response_schema_conformance, status_code_conformance)

from bobby_server import Server

PATHS = {"/health", "/ready", "/metrics", "/openapi.json", "/v1/models", "/v1/chat/completions", "/v1/completions",
         "/v1/posts", "/v1/adapters", "/v1/adapters/{name}", "/v1/drafts", "/v1/drafts/{id}", "/v1/settings"}
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
          response_schema_conformance]
EXAMPLES = 15  # of each operation and mode
# What makes a request longer without making it another kind of request.
SMALL = {"max_tokens": 3, "max_completion_tokens": 3, "n": 2, "count": 2, "retries": 1}
DEFAULTS = {"/v1/posts": {"max_tokens": 3, "retries": 0, "count": 1}, "/v1/chat/completions": {"max_tokens": 3},
            "/v1/completions": {"max_tokens": 3}}
LARGEST = {"max_tokens": 10**6, "max_completion_tokens": 10**6, "n": 128, "count": 10, "retries": 1000}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("openapi")) as server:
        yield server


@pytest.fixture(scope="module")
def document(own):
    response = own.http.get("/openapi.json")
    assert response.status_code == 200
    return response.json()


def shorten(path: str, body) -> None:
    """Long requests become short ones; values out of range stay what they are."""
    if path not in DEFAULTS or not isinstance(body, dict):
        return
    for name, value in DEFAULTS[path].items():
        body.setdefault(name, value)
    for name, most in SMALL.items():
        value = body.get(name)
        if type(value) is int and most < value <= LARGEST[name]:
            body[name] = most


@pytest.mark.parametrize("mode", schemathesis.GenerationMode, ids=lambda mode: mode.name.lower())
def test_answers_are_as_described(own, document, mode, subtests):
    """Valid requests, and ones that break the description."""
    schema = schemathesis.openapi.from_dict(document)
    for result in schema.get_all_operations():
        operation = result.ok()

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
                  suppress_health_check=list(HealthCheck))
        def run(case):
            shorten(operation.path, case.body)
            case.call_and_validate(base_url=own.url, checks=CHECKS, timeout=30)

        with subtests.test(operation.label):
            try:
                run()
            except Unsatisfiable:
                assert mode.is_negative  # a request without parts has none to break
        assert own.process.poll() is None, own.log_text()


def test_every_endpoint_is_described(document):
    assert document["openapi"].startswith("3.")
    assert PATHS <= set(document["paths"])
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method in ("get", "post", "put", "patch", "delete"):
                assert operation["responses"], f"{method} {path}"
                assert operation.get("summary") or operation.get("description"), f"{method} {path}"


def test_what_is_described_is_there(own, document):
    for path, operations in document["paths"].items():
        for method in operations.keys() & {"get", "post", "put", "patch", "delete"}:
            filled = path.replace("{id}", "999999").replace("{name}", "nobody").replace("{path}", "x")
            response = own.http.request(method.upper(), filled, headers={"Content-Type": "application/json"})
            assert response.status_code != 405, f"{method} {path}"


def test_the_examples_of_the_document_work(own, document):
    for path, operations in document["paths"].items():
        body = operations.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json", {})
        examples = [body["example"]] if "example" in body else [e["value"] for e in body.get("examples", {}).values()]
        for example in examples:
            if path == "/v1/adapters":
                continue  # names a folder that a test has not
            shorten(path, example)
            response = own.http.post(path, json=example)
            assert response.status_code in (200, 201), f"{path}: {response.text}"
