"""Every control of the page, by mouse and by touch, against a running `bobby serve`.

    python tests/web/page_test.py --bobby build/release/bin/bobby --model DIR [pytest options]

or pytest tests/web with BOBBY_BIN and BOBBY_MODEL set. Screenshots go to build/web-artifacts
(BOBBY_WEB_ARTIFACTS); the browser is Debian's (BOBBY_CHROMIUM).
"""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    import argparse
    import pytest

    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bobby", required=True, help="the binary")
    options.add_argument("--model", required=True, help="a model folder")
    known, rest = options.parse_known_args()
    os.environ["BOBBY_BIN"] = str(Path(known.bobby).resolve())
    os.environ["BOBBY_MODEL"] = str(Path(known.model).resolve())
    sys.exit(pytest.main([str(Path(__file__).parent), "-p", "no:cacheprovider", *rest]))

from playwright.sync_api import expect

SHOWN = "#posts .card:visible"


def detail(visitor, card, term):
    return card.locator("dt", has_text=term).locator("xpath=../dd").text_content()


def test_posts_appear_token_by_token(visit, view):
    visitor = visit(view)
    page = visitor.open()
    visitor.shot("empty", full=True)
    visitor.press(page.locator(".chip").first)
    assert page.input_value("#prompt") == page.locator(".chip").first.text_content()
    visitor.press("#count-more")
    assert page.input_value("#count") == "4"
    visitor.press("#count-less")
    visitor.press("#count-less")
    expect(page.locator("#generate")).to_contain_text("Write 2 posts")

    with visitor.mid_writing(count=3, max_tokens=80):
        expect(page.locator("#stop")).to_be_visible()
        assert page.get_attribute("#posts", "aria-busy") == "true"
        first = page.locator(".card[data-state=writing]").first
        before = len(first.locator(".card-text").text_content())
        handle = first.locator(".card-text").element_handle()
        tops = "[...document.querySelectorAll('#posts .card')].map(card => Math.round(card.getBoundingClientRect().top + scrollY))"
        where = page.evaluate(tops)
        visitor.shot("writing")
    visitor.until("([p, n]) => p.textContent.length !== n", [handle, before])
    if page.locator("#stop").is_visible():
        assert page.evaluate(tops) == where, "a card moved while posts were being written"
    visitor.wait_done()
    assert page.get_attribute("#posts", "aria-busy") == "false"
    assert page.locator(SHOWN).count() == 3
    for index in range(3):
        card = page.locator(SHOWN).nth(index)
        if card.get_attribute("data-state") == "settled":
            assert visitor.text(index).strip()
    visitor.shot("written", full=True)


def test_the_ring_counts_graphemes_and_warns(visit, view):
    visitor = visit(view)
    page = visitor.open()
    visitor.write(count=1)
    visitor.wait_done()
    card = visitor.cards().first
    visitor.press(card.get_by_role("button", name="Edit post 1"))
    field, count = card.locator("textarea"), card.locator(".count")
    for text, level, words in (("👩‍👩‍👧‍👦é" + "a" * 98, "fine", "100"), ("b" * 285, "near", "15 left"), ("c" * 312, "over", "12 over")):
        field.fill(text)
        expect(count).to_have_attribute("data-level", level)
        expect(card.locator(".count-number")).to_have_text(words)
    visitor.shot("over-the-limit")
    field.fill("")
    visitor.press(card.get_by_role("button", name="Save"))
    expect(card.locator(".field-error")).to_contain_text("needs some text")
    visitor.press(card.get_by_role("button", name="Cancel"))
    expect(card.locator(".card-text")).to_be_visible()


def test_stop_keeps_what_was_written(visit, view):
    visitor = visit(view)
    page = visitor.open()
    with visitor.mid_writing(prompt="write a long story", count=8, max_tokens=200):
        visitor.press("#stop")
        expect(page.locator("#generate")).to_be_visible()
    stopped = page.locator("#posts .card[data-state=stopped]:visible")
    assert stopped.count() >= 1
    assert page.locator(".card[data-state=writing], .card[data-state=waiting]:visible").count() == 0
    expect(stopped.first.locator(".card-text")).not_to_be_empty()
    # The server is free again at once: the next request is written.
    visitor.write(count=1)
    visitor.wait_done()
    expect(visitor.cards().first).to_have_attribute("data-state", "settled")


def test_copy_edit_another_details(visit, view):
    visitor = visit(view)
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = visitor.open()
    visitor.write(count=2)
    visitor.wait_done()
    first, second = visitor.cards().nth(0), visitor.cards().nth(1)

    visitor.press(first.get_by_role("button", name="Copy post 1"))
    expect(first.get_by_role("button", name="Copy post 1")).to_contain_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == visitor.text(0)

    visitor.press(first.get_by_role("button", name="Edit post 1"))
    first.locator("textarea").fill("My own <b>words</b> & more")
    visitor.shot("editing")
    visitor.press(first.get_by_role("button", name="Save"))
    expect(first.locator(".card-text")).to_have_text("My own <b>words</b> & more")
    assert first.locator(".card-text b").count() == 0

    visitor.press(second.get_by_role("button", name="Details of post 2"))
    expect(second.locator(".card-details")).to_be_visible()
    seed, old = detail(visitor, second, "Seed"), visitor.text(1)
    assert detail(visitor, second, "Tokens").isdigit()
    assert "tokens a second" in detail(visitor, second, "Speed")
    visitor.press(second.get_by_role("button", name="Another version of post 2"))
    visitor.wait_done()
    expect(second).to_have_attribute("data-state", "settled")
    assert detail(visitor, second, "Seed") != seed
    assert visitor.text(0) == "My own <b>words</b> & more", "the other card changed"
    assert visitor.text(1) != old
    visitor.shot("details")
    visitor.press(visitor.button("Bring back the old one"))
    expect(second.locator(".card-text")).to_have_text(old)


def test_copy_works_without_the_clipboard(visit):
    visitor = visit()
    page = visitor.open()
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    visitor.write(count=1)
    visitor.wait_done()
    visitor.button("Copy post 1").click()
    expect(visitor.button("Copy post 1")).to_contain_text("Copied")
    page.fill("#prompt", "")
    page.focus("#prompt")
    page.keyboard.press("Control+v")
    assert page.input_value("#prompt") == visitor.text(0)


def test_delete_and_clear_can_be_undone(visit, view):
    visitor = visit(view)
    page = visitor.open()
    visitor.write(count=2)
    visitor.wait_done()
    texts = [visitor.text(0), visitor.text(1)]
    visitor.press(visitor.button("Delete post 1"))
    expect(visitor.cards()).to_have_count(1)
    visitor.press(visitor.button("Undo"))
    expect(visitor.cards()).to_have_count(2)
    assert [visitor.text(0), visitor.text(1)] == texts
    visitor.press(visitor.button("Clear all"))
    expect(page.locator("#posts-empty")).to_be_visible()
    visitor.press(visitor.button("Undo"))
    expect(visitor.cards()).to_have_count(2)


def test_settings_reach_the_server(visit, view, server):
    visitor = visit(view)
    page = visitor.open()
    visitor.open_tuning()
    page.fill("#temperature-slider", "1.2")
    assert page.input_value("#temperature") == "1.2"
    page.fill("#top_p", "0.8")
    assert page.input_value("#top_p-slider") == "0.8"
    page.fill("#seed", "4711")
    boxes = page.locator("#voice-list input[type=checkbox]")
    assert boxes.count() == 2
    names = page.locator(".voice-name").all_text_contents()
    assert names == [adapter["name"] for adapter in server.call("GET", "/v1/adapters")["data"]]
    visitor.press(boxes.nth(1))
    assert page.locator("#voice-list input[type=number]").nth(1).is_disabled()
    page.locator("#voice-list input[type=number]").first.fill("1.5")
    visitor.shot("settings", full=True)
    with page.expect_request("**/v1/posts") as sent:
        visitor.write(prompt="write about tea", count=1, max_tokens=25)
    assert sent.value.post_data_json == {
        "prompt": "write about tea", "count": 1, "max_tokens": 25, "temperature": 1.2, "top_p": 0.8, "seed": 4711,
        "adapters": [{"name": names[0], "scale": 1.5}], "stream": True,
    }
    visitor.wait_done()
    text = visitor.text(0)
    # The same seed and settings write the same post again.
    visitor.press("#generate")
    visitor.wait_done()
    assert visitor.cards().count() == 2 and visitor.text(0) == text
    visitor.press(boxes.nth(0))
    expect(page.locator("#voice-note")).to_contain_text("model writes as it is")
    with page.expect_request("**/v1/posts") as sent:
        visitor.press("#generate")
    assert sent.value.post_data_json["adapters"] == []
    visitor.wait_done()
    visitor.press(visitor.button("Back to the usual settings"))
    assert page.input_value("#temperature") == "0.7" and page.input_value("#seed") == ""


def test_nothing_typed_is_lost_by_a_reload(visit, view):
    visitor = visit(view)
    page = visitor.open()
    visitor.write(prompt="write about tea", count=1)
    visitor.wait_done()
    page.fill("#prompt", "half a thou")
    page.fill("#seed", "99")
    visitor.press(visitor.button("Edit post 1"))
    page.fill(".edit-field", "not yet saved")
    text = page.locator(".card-text").text_content()
    page.reload()
    visitor.wait_ready()
    assert page.input_value("#prompt") == "half a thou"
    assert page.input_value("#seed") == "99"
    assert page.input_value(".edit-field") == "not yet saved"
    visitor.press(visitor.button("Cancel"))
    expect(page.locator(".card-text")).to_have_text(text)


def test_a_post_outlives_a_reload_the_moment_it_is_written(visit, view):
    visitor = visit(view)
    page = visitor.open()
    visitor.write(prompt="write about rain", count=1, max_tokens=20)
    # The reload in the same turn of the page that ends the writing: no timer of the page's runs between.
    text = page.evaluate("""() => new Promise((done) => {
      const ended = () => document.querySelector("#posts .card[data-state=settled]");
      const look = () => {
        if (!ended()) return requestAnimationFrame(look);
        done(ended().querySelector(".card-text").textContent);
        location.reload();
      };
      look();
    })""")
    visitor.wait_ready()
    expect(page.locator(".card-text")).to_have_text(text)


def test_a_page_that_is_dropped_unasked_keeps_what_was_being_written(visit, view):
    visitor = visit(view)
    page = visitor.open()
    with visitor.mid_writing(prompt="write about the sea", count=3, max_tokens=100):
        # No event tells a page that it is killed; what it has saved by then is what there is.
        visitor.until("(sessionStorage.getItem('bobby.posts') ?? '').includes('broken off')")
        visitor.press("#stop")
    visitor.wait_done()


def test_the_colours_follow_the_system_and_the_toggle(visit, view):
    visitor = visit(view, color_scheme="dark")
    page = visitor.open()
    theme = "document.documentElement.dataset.theme"
    assert page.evaluate(theme) == "dark"
    visitor.shot("empty", full=True)
    visitor.press("#theme-toggle")
    assert page.evaluate(theme) == "light"
    page.reload()
    assert page.evaluate(theme) == "light", "the choice was not kept"
    visitor.wait_ready()
    visitor.press("#theme-toggle")
    assert page.evaluate(theme) == "dark"
    page.emulate_media(color_scheme="light")
    # What equals the system's choice was not kept, and follows the system.
    visitor.until(f"{theme} === 'light'")
    page.emulate_media(color_scheme="dark")
    visitor.until(f"{theme} === 'dark'")
    visitor.write(count=2)
    visitor.wait_done()
    visitor.shot("written", full=True)


def test_help_opens_and_closes(visit, view):
    visitor = visit(view)
    page = visitor.open()
    visitor.press("#help-open")
    expect(page.get_by_role("dialog", name="Help and shortcuts")).to_be_visible()
    visitor.shot("help")
    for _ in range(5):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('dialog') !== null"), "the focus left the dialog"
    visitor.press(visitor.button("Close"))
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert page.evaluate("document.activeElement.id") == "help-open"


def test_the_page_fits_the_smallest_phone(visit):
    visitor = visit("phone", viewport={"width": 320, "height": 640})
    page = visitor.open()
    visitor.open_tuning()
    visitor.write(count=1)
    visitor.wait_done()
    width = "document.documentElement.scrollWidth"
    assert page.evaluate(width) == 320
    visitor.shot("smallest", full=True)
    visitor.press("#tab-drafts")
    assert page.evaluate(width) == 320
