"""Drafts over HTTP: kept, found, changed, removed, and there again after a restart or a kill."""

import concurrent.futures
import re
import stat

import pytest

from bobby_server import Server

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("drafts")) as server:
        yield server


@pytest.fixture
def http(own):
    """An empty list of drafts."""
    while data := own.http.get("/v1/drafts", params={"limit": 100}).json()["data"]:
        for draft in data:
            own.http.delete(f"/v1/drafts/{draft['id']}")
    return own.http


def make(http, **fields) -> dict:
    response = http.post("/v1/drafts", json=fields)
    assert response.status_code == 201, response.text
    return response.json()


def listed(http, **params) -> list[str]:
    response = http.get("/v1/drafts", params=params)
    assert response.status_code == 200, response.text
    return [draft["text"] for draft in response.json()["data"]]


def test_what_the_bot_may_not_post_is_not_approved(tmp_path):
    rules = tmp_path / "deny.txt"
    rules.write_text("# not in public\ndecaf*\n")
    with Server(tmp_path / "home", "--deny-file", rules, "--mentions", "refuse") as server:
        fine, denied, calling = (make(server.http, text=text)
                                 for text in ("an espresso", "d e c a f again", "ask @bob.example.com"))
        def approve(draft, **fields):
            return server.http.patch(f"/v1/drafts/{draft['id']}", json={"status": "approved", **fields})
        assert approve(fine).status_code == 200
        for draft, part in ((denied, 'deny.txt:2'), (calling, "@bob.example.com")):
            refused = approve(draft)
            assert refused.status_code == 422 and part in refused.json()["error"]["message"], refused.text
            assert server.http.get(f"/v1/drafts/{draft['id']}").json() == draft
        assert approve(fine, text="more decaffeinated tea").status_code == 422, "the text that comes along counts"
        assert approve(denied, text="the real thing").status_code == 200
        assert server.http.patch(f"/v1/drafts/{calling['id']}", json={"status": "rejected"}).status_code == 200


def test_a_draft_comes_back_as_it_went(http):
    text = 'He said "tea"\n\tÜber 👩‍👩‍👧 e\u0301 \\ \u2028 end'
    made = make(http, text=text, prompt="on tea", adapter="voice1", seed=7)
    assert set(made) == {"id", "text", "status", "prompt", "adapter", "seed", "graphemes", "created_at", "updated_at",
                         "post", "decision"}
    assert made["post"] is None and made["decision"] is None
    assert made["text"] == text and made["prompt"] == "on tea" and made["adapter"] == "voice1" and made["seed"] == 7
    assert made["status"] == "draft"
    assert made["graphemes"] == 31, "a family is one, a letter with its accent is one"
    assert TIME.fullmatch(made["created_at"]) and made["updated_at"] == made["created_at"]
    assert http.get(f"/v1/drafts/{made['id']}").json() == made
    plain = make(http, text="x")
    assert plain["seed"] is None and plain["prompt"] == plain["adapter"] == ""


def test_changes(http):
    made = make(http, text="first")
    changed = http.patch(f"/v1/drafts/{made['id']}", json={"text": "second text"}).json()
    assert changed["text"] == "second text" and changed["graphemes"] == 11 and changed["status"] == "draft"
    assert changed["created_at"] == made["created_at"] <= changed["updated_at"]
    for status in ("approved", "rejected", "posted", "draft"):
        assert http.patch(f"/v1/drafts/{made['id']}", json={"status": status}).json()["status"] == status
    for bad, param in [({"status": "burnt"}, "status"), ({"status": 1}, "status"), ({"text": ""}, "text"),
                       ({"prompt": "x"}, "prompt"), ({"id": 3}, "id")]:
        response = http.patch(f"/v1/drafts/{made['id']}", json=bad)
        assert response.status_code == 400 and response.json()["error"]["param"] == param, response.text
    assert http.get(f"/v1/drafts/{made['id']}").json()["text"] == "second text"


def test_removal(http):
    made = make(http, text="gone")
    assert http.delete(f"/v1/drafts/{made['id']}").json() == {"deleted": True, "id": made["id"]}
    for response in (http.delete(f"/v1/drafts/{made['id']}"), http.get(f"/v1/drafts/{made['id']}"),
                     http.patch(f"/v1/drafts/{made['id']}", json={"text": "x"})):
        assert response.status_code == 404 and response.json()["error"]["type"] == "invalid_request_error"
    assert make(http, text="next")["id"] > made["id"]


def test_search(http):
    for text in ("Die Straße am Fluß", "Ein ΚΌΣΜΟΣ", "100% sure_"):
        make(http, text=text, prompt="Über Kaffee")
    assert listed(http, query="STRASSE fluss") == ["Die Straße am Fluß"]
    assert listed(http, query="κόσμος") == ["Ein ΚΌΣΜΟΣ"]
    assert listed(http, query="0% E_") == ["100% sure_"]
    assert len(listed(http, query="kaffee über")) == 3
    assert listed(http, query="kaffee tee") == []
    assert listed(http, query="' OR 1=1 --") == []


def test_pages(http):
    made = [make(http, text=f"number {i}") for i in range(12)]
    http.patch(f"/v1/drafts/{made[3]['id']}", json={"status": "approved"})
    first = http.get("/v1/drafts", params={"limit": 5}).json()
    assert first["object"] == "list" and first["total"] == 12 and first["has_more"] is True
    assert [draft["text"] for draft in first["data"]] == [f"number {i}" for i in range(11, 6, -1)]
    second = http.get("/v1/drafts", params={"limit": 7, "before": first["data"][-1]["id"]}).json()
    assert [draft["text"] for draft in second["data"]] == [f"number {i}" for i in range(6, -1, -1)]
    assert second["has_more"] is False
    assert listed(http, status="approved") == ["number 3"]


def test_long_and_wrong_texts(http):
    assert make(http, text="👩‍👩‍👧" * 10_000)["graphemes"] == 10_000
    for text in ("👩‍👩‍👧" * 10_001, "", None, 7):
        response = http.post("/v1/drafts", json={"text": text})
        assert response.status_code == 400 and response.json()["error"]["param"] == "text"


def test_many_at_once(http):
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda i: make(http, text=f"at once {i}"), range(100)))
    assert len({draft["id"] for draft in made}) == 100
    assert sorted(listed(http, limit=100)) == sorted(f"at once {i}" for i in range(100))


def test_drafts_outlive_the_server(home):
    with Server(home) as server:
        make(server.http, text="kept")
    files = [file for file in (home / "state" / "bobby").iterdir() if not file.name.endswith(("-wal", "-shm"))]
    assert len(files) == 1 and stat.S_IMODE(files[0].stat().st_mode) == 0o600
    with Server(home) as server:
        assert listed(server.http) == ["kept"]
        make(server.http, text="kept, too")
        server.process.kill()
        server.process.wait()
    with Server(home) as server:
        assert listed(server.http) == ["kept, too", "kept"]
