"""What goes wrong, and waiting: each is said in words, with something to do, and loses nothing."""

import json

from playwright.sync_api import expect

READING = [{"status": "loading", "phase": "weights", "done": done, "total": 4} for done in (1, 2, 3)]


def events(*values):
    return "".join(f"data: {value if isinstance(value, str) else json.dumps(value)}\n\n" for value in values)


def answer_posts(page, status=200, body="", headers=None):
    """The next requests for posts get this answer in the server's place."""
    kind = "text/event-stream" if status == 200 else "application/json"
    page.route("**/v1/posts", lambda route: route.fulfill(status=status, body=body, headers={"Content-Type": kind, **(headers or {})}))


def error_body(message, param=None):
    return json.dumps({"error": {"message": message, "type": "invalid_request_error", "param": param, "code": "usage"}})


def post(index, text, **more):
    return {"type": "post", "post": {"index": index, "text": text, "graphemes": len(text), "tokens": 5, "seed": 7, "finish_reason": "stop",
                                     "tries": 1, "mean_logprob": -1.0, "prefill_ms": 12.0, "decode_tok_s": 30.0, **more}}


START = {"type": "start", "seed": 7, "count": 1, "char_limit": 300}
DONE = ({"type": "done", "seed": 7, "posts": 1, "missing": 0}, "[DONE]")


def test_loading_shows_real_progress(visit, view):
    visitor = visit(view)
    page = visitor.page
    answers = list(READING) * 2
    shown = []

    def ready(route):
        if not answers:
            return route.continue_()
        shown.append(answers.pop(0))
        return route.fulfill(status=503, json=shown[-1])

    page.route("**/ready", ready)
    visitor.open(ready=False)
    expect(page.locator("#loading")).to_be_visible()
    expect(page.locator("#loading-text")).to_contain_text("weights")
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "75")
    expect(page.locator("#generate")).to_have_attribute("aria-disabled", "true")
    page.fill("#prompt", "typed while it loads")
    visitor.shot("loading")
    visitor.wait_ready()
    expect(page.locator("#loading")).to_be_hidden()
    assert page.input_value("#prompt") == "typed while it loads"
    expect(page.locator("#generate")).to_have_attribute("aria-disabled", "false")


def test_the_loading_of_a_server_that_just_started(visit, own_server):
    server = own_server(start=False)
    server.start(wait=False)
    server.wait_for("/health")
    visitor = visit(at=server)
    visitor.open()
    expect(visitor.page.locator("#loading")).to_be_hidden()


def test_a_model_that_cannot_be_loaded(visit, view):
    visitor = visit(view)
    page = visitor.page
    page.route("**/ready", lambda route: route.fulfill(status=503, json={"status": "failed", "error": "demo/config.json: no such file"}))
    visitor.open(ready=False)
    expect(page.locator("#loading")).to_contain_text("could not be loaded")
    expect(page.locator("#loading")).to_contain_text("demo/config.json: no such file")
    expect(page.locator("#loading")).to_contain_text("start it again")
    visitor.shot("failed")
    page.unroute("**/ready")
    visitor.wait_ready()


def test_a_server_that_dies_and_comes_back(visit, view, own_server):
    server = own_server()
    visitor = visit(view, at=server)
    visitor.expect(r"ERR_|Failed to load resource: net::")
    page = visitor.open()
    with visitor.mid_writing(prompt="write a long story", count=6, max_tokens=200):
        server.kill()
    expect(page.locator("#notices")).to_contain_text("broke off while writing")
    expect(page.locator("#banner")).to_contain_text("does not answer")
    broken = page.locator("#posts .card[data-state=broken]:visible")
    assert broken.count() >= 1
    expect(broken.first.locator(".card-text")).not_to_be_empty()
    visitor.shot("server-gone")
    page.fill("#prompt", "kept through it all")
    server.start()
    if page.locator("#banner").is_visible():
        visitor.press(visitor.button("Look now"))
    visitor.wait_ready()
    expect(page.locator("#banner")).to_be_hidden()
    count = broken.count()
    visitor.press(page.locator("#notices").get_by_role("button", name="Try again"))
    visitor.wait_done()
    assert page.locator("#posts .card[data-state=broken]:visible").count() == 0, f"{count} were broken"
    assert page.input_value("#prompt") == "kept through it all"


def test_a_key_is_asked_for_once(visit, view, own_server):
    server = own_server(keys=("correct-horse",))
    visitor = visit(view, at=server)
    visitor.expect(r"401")
    page = visitor.open(ready=False)
    dialog = page.get_by_role("dialog", name="This server asks for a key")
    expect(dialog).to_be_visible()
    visitor.shot("key")
    for _ in range(5):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('dialog') !== null"), "the focus left the dialog"
    page.fill("#key-input", "wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#key-error")).to_contain_text("does not know this key")
    page.fill("#key-input", "correct-horse")
    visitor.press(visitor.button("Use this key"))
    visitor.wait_ready()
    expect(dialog).to_be_hidden()
    visitor.write(count=1)
    visitor.wait_done()
    expect(visitor.cards().first).to_have_attribute("data-state", "settled")
    page.reload()
    visitor.wait_ready()
    assert page.evaluate("sessionStorage.getItem('bobby.key')") == '"correct-horse"'
    assert page.evaluate("localStorage.getItem('bobby.key')") is None


def test_a_field_that_the_server_refuses(visit, view):
    visitor = visit(view)
    visitor.expect(r"400")
    page = visitor.open()
    visitor.open_tuning()
    page.fill("#temperature", "99")
    page.fill("#prompt", "stays here")
    visitor.press("#tuning summary")
    visitor.press("#generate")
    expect(page.locator("#temperature-error")).to_contain_text("99")
    expect(page.locator("#temperature")).to_be_focused()
    expect(page.locator("#temperature")).to_have_attribute("aria-invalid", "true")
    foot = page.locator("#temperature-error").bounding_box()
    assert foot["y"] + foot["height"] <= page.locator(".composer-actions").bounding_box()["y"], "the error is out of sight"
    visitor.shot("field-error")
    assert visitor.cards().count() == 0
    page.fill("#temperature", "0.7")
    expect(page.locator("#temperature-error")).to_be_hidden()
    page.fill("#seed", "abc")
    visitor.press("#generate")
    expect(page.locator("#seed-error")).to_contain_text("whole number")
    page.fill("#seed", "")
    page.fill("#count", "11")
    visitor.press("#generate")
    expect(page.locator("#count-error")).to_contain_text("10")
    assert page.input_value("#prompt") == "stays here"


def test_an_error_that_belongs_to_no_control(visit):
    visitor = visit()
    visitor.expect(r"400|500")
    page = visitor.open()
    answer_posts(page, 400, error_body("the prompt is longer than the model's context", "messages"))
    visitor.write(count=1)
    expect(page.locator("#composer-error")).to_contain_text("longer than the model's context")
    page.unroute("**/v1/posts")
    answer_posts(page, 500, error_body("out of memory"))
    visitor.press("#generate")
    expect(page.locator("#notices")).to_contain_text("out of memory")
    page.unroute("**/v1/posts")
    visitor.press(visitor.button("Try again"))
    visitor.wait_done()
    expect(visitor.cards().first).to_have_attribute("data-state", "settled")


def test_a_busy_server_says_how_long_to_wait(visit, view):
    visitor = visit(view)
    visitor.expect(r"429")
    page = visitor.open()
    answer_posts(page, 429, error_body("the queue is full"), {"Retry-After": "2"})
    visitor.write(count=1)
    expect(page.locator("#notices")).to_contain_text("Try again in 2 s")
    page.unroute("**/v1/posts")
    visitor.press(visitor.button("Try again"))
    visitor.wait_done()
    expect(visitor.cards().first).to_have_attribute("data-state", "settled")


def test_a_rejected_try_starts_its_card_over(visit):
    visitor = visit()
    page = visitor.open()
    answer_posts(page, body=events(
        START, {"type": "text", "index": 0, "attempt": 0, "text": "Hm"}, {"type": "rejected", "index": 0, "attempt": 0, "reason": "too short", "text": "Hm"},
        {"type": "text", "index": 0, "attempt": 1, "text": "A whole"}, post(0, "A whole thought about tea.", tries=2), *DONE))
    visitor.write(count=1)
    visitor.wait_done()
    card = visitor.cards().first
    expect(card.locator(".card-text")).to_have_text("A whole thought about tea.")
    expect(card.locator(".card-note")).to_have_text("good on try 2")
    visitor.button("Details of post 1").click()
    expect(card.locator(".card-details")).to_contain_text("Try 1 was too short")


def test_a_post_that_never_was_good_enough(visit, view):
    visitor = visit(view)
    page = visitor.open()
    answer_posts(page, body=events(
        {**START, "count": 2}, {"type": "rejected", "index": 0, "attempt": 0, "reason": "too short", "text": "Ok then."}, post(1, "A good one, this."),
        {"type": "done", "seed": 7, "posts": 1, "missing": 1}, "[DONE]"))
    visitor.write(count=2)
    visitor.wait_done()
    card = visitor.cards().first
    expect(card).to_contain_text("No try was good enough")
    visitor.shot("not-good-enough")
    visitor.press(visitor.button("Use this one anyway"))
    expect(card.locator(".card-text")).to_have_text("Ok then.")
    assert visitor.text(1) == "A good one, this."


def test_a_stream_that_breaks_off_keeps_what_came(visit):
    visitor = visit()
    page = visitor.open()
    answer_posts(page, body=events({**START, "count": 2}, post(0, "This one is finished."), {"type": "text", "index": 1, "attempt": 0, "text": "Half a"}))
    visitor.write(count=2)
    expect(page.locator("#notices")).to_contain_text("What came is kept")
    assert [visitor.text(0), visitor.text(1)] == ["This one is finished.", "Half a"]
    page.unroute("**/v1/posts")
    with page.expect_request("**/v1/posts") as sent:
        page.locator("#notices").get_by_role("button", name="Try again").click()
    assert sent.value.post_data_json["count"] == 1
    visitor.wait_done()
    assert visitor.text(0) == "This one is finished." and visitor.text(1) != "Half a"


def test_markup_in_a_post_stays_text(visit):
    visitor = visit()
    page = visitor.open()
    text = "<img src=x onerror=alert(1)><script>alert(2)</script> & </p>"
    answer_posts(page, body=events(START, post(0, text), *DONE))
    visitor.write(prompt="<b>bold</b>", count=1)
    visitor.wait_done()
    assert visitor.text(0) == text
    assert page.locator("#posts img, #posts script, #posts b").count() == 0
