"""The drafts: keeping a post, search, status, paging, edits, deleting with a way back."""

import time

import pytest
from playwright.sync_api import expect


@pytest.fixture
def drafts(server):
    server.clear_drafts()

    def make(*texts, prompt="write about tea"):
        return [server.call("POST", "/v1/drafts", {"text": text, "prompt": prompt}) for text in texts]

    yield make
    server.clear_drafts()


def shown(page):
    return page.locator("#drafts-list .card-text")


def test_a_post_is_kept_edited_and_found(visit, view, server, drafts):
    visitor = visit(view)
    page = visitor.open()
    visitor.press("#tab-drafts")
    expect(page.locator("#drafts-empty")).to_contain_text("No drafts yet")
    visitor.shot("no-drafts")
    visitor.press("#tab-write")
    visitor.write(prompt="write about coffee", count=1)
    visitor.wait_done()
    text = visitor.text(0)
    visitor.press(visitor.button("Keep post 1"))
    expect(page.locator("#draft-count")).to_have_text("1")
    kept = server.call("GET", "/v1/drafts")["data"][0]
    assert (kept["text"], kept["prompt"], kept["status"]) == (text, "write about coffee", "draft")
    assert isinstance(kept["seed"], int) and kept["adapter"]

    # Editing the kept post changes its draft.
    visitor.press(visitor.button("Edit post 1"))
    page.fill(".edit-field", "Coffee, but slower.")
    visitor.press(visitor.button("Save"))
    expect(page.locator("#posts .card-text")).to_have_text("Coffee, but slower.")
    assert server.call("GET", f"/v1/drafts/{kept['id']}")["text"] == "Coffee, but slower."

    # An approval is of a text: with another one it ends, and the page says so.
    server.call("PATCH", f"/v1/drafts/{kept['id']}", {"status": "approved"})
    visitor.press(visitor.button("Edit post 1"))
    page.fill(".edit-field", "Coffee, and slower.")
    visitor.press(visitor.button("Save"))
    expect(page.locator("#notices")).to_contain_text(f"Draft {kept['id']} is a new one again")
    assert server.call("GET", f"/v1/drafts/{kept['id']}")["status"] == "draft"

    visitor.press(visitor.button("In drafts"))
    expect(shown(page)).to_have_text(["Coffee, and slower."])
    visitor.press(visitor.button(f"Edit draft {kept['id']}"))
    page.fill("#drafts-list .edit-field", "Coffee, much slower.")
    page.reload()
    visitor.wait_ready()
    assert page.input_value("#drafts-list .edit-field") == "Coffee, much slower.", "an unsaved edit was lost"
    visitor.press(page.locator("#drafts-list").get_by_role("button", name="Save"))
    expect(shown(page)).to_have_text(["Coffee, much slower."])
    assert server.call("GET", f"/v1/drafts/{kept['id']}")["text"] == "Coffee, much slower."


def test_search_and_status(visit, view, server, drafts):
    tea, bug, rain = drafts("Tea is patient.", "A bug and a comma.", "Rain <i>again</i>.")
    visitor = visit(view)
    page = visitor.open("#drafts")
    expect(shown(page)).to_have_text(["Rain <i>again</i>.", "A bug and a comma.", "Tea is patient."])
    visitor.shot("drafts")
    page.fill("#draft-search", "COMMA")
    expect(shown(page)).to_have_text(["A bug and a comma."])
    page.fill("#draft-search", "nowhere")
    expect(page.locator("#drafts-empty")).to_contain_text("Nothing found")
    visitor.press(visitor.button("Show all drafts"))
    expect(shown(page)).to_have_count(3)

    visitor.press(visitor.button(f"Approve draft {tea['id']}"))
    expect(visitor.button(f"Approve draft {tea['id']}")).to_have_attribute("aria-pressed", "true")
    visitor.press(visitor.button(f"Reject draft {bug['id']}"))
    visitor.press(page.locator("#reject-dialog").get_by_role("button", name="Reject"))
    expect(page.locator(f"[data-draft='{bug['id']}'] .status")).to_have_text("rejected")
    assert server.call("GET", f"/v1/drafts/{tea['id']}")["status"] == "approved"
    visitor.shot("drafts-judged")
    for label, texts in (("Approved", ["Tea is patient."]), ("Rejected", ["A bug and a comma."]),
                         ("New", ["Rain <i>again</i>."]), ("Posted", []), ("All", [rain["text"], bug["text"], tea["text"]])):
        visitor.press(page.locator("#draft-filter button", has_text=label))
        expect(shown(page)).to_have_text(texts)
    visitor.press(visitor.button(f"Approve draft {tea['id']}"))
    expect(page.locator(f"[data-draft='{tea['id']}'] .status")).to_have_text("new")
    assert server.call("GET", f"/v1/drafts/{tea['id']}")["status"] == "draft"


def test_what_was_posted_by_hand_can_be_taken_back(visit, server, drafts):
    (draft,) = drafts("Typed into another app.")
    server.call("PATCH", f"/v1/drafts/{draft['id']}", {"status": "posted"})
    visitor = visit()
    page = visitor.open("#drafts")
    card = page.locator(f"[data-draft='{draft['id']}']")
    expect(card.locator(".card-standing")).to_contain_text("Marked as posted just now.")
    expect(card.get_by_role("link")).to_have_count(0)
    expect(visitor.button(f"Approve draft {draft['id']}")).to_be_hidden()
    visitor.press(visitor.button(f"Take back draft {draft['id']}"))
    expect(card.locator(".status")).to_have_text("new")
    assert server.call("GET", f"/v1/drafts/{draft['id']}")["status"] == "draft"


def test_delete_can_be_undone_and_copy_copies(visit, view, server, drafts):
    first, second = drafts("Stay.", "Go.")
    visitor = visit(view)
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = visitor.open("#drafts")
    visitor.press(visitor.button(f"Copy draft {first['id']}"))
    expect(visitor.button(f"Copy draft {first['id']}")).to_contain_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "Stay."
    visitor.press(visitor.button(f"Delete draft {second['id']}"))
    expect(shown(page)).to_have_text(["Stay."])
    visitor.press(visitor.button("Undo"))
    expect(shown(page)).to_have_text(["Go.", "Stay."])
    visitor.press(visitor.button(f"Delete draft {second['id']}"))
    with page.expect_response(lambda answer: answer.request.method == "DELETE" and answer.ok):
        visitor.press(visitor.button("Dismiss"))
    assert [draft["text"] for draft in server.call("GET", "/v1/drafts")["data"]] == ["Stay."]
    # One whose notice is still there goes when the page does.
    visitor.press(visitor.button(f"Delete draft {first['id']}"))
    page.reload()
    visitor.wait_ready()
    deadline = time.monotonic() + 10
    while server.call("GET", "/v1/drafts")["total"] > 0:
        assert time.monotonic() < deadline, "the deleted draft outlived its page"
        time.sleep(0.05)
    visitor.press(page.locator("#draft-filter button", has_text="All"))
    expect(page.locator("#drafts-empty")).to_contain_text("No drafts yet")


def test_paging_goes_on_where_it_stopped(visit, view, drafts):
    drafts(*(f"Draft number {number}." for number in range(45)))
    visitor = visit(view)
    page = visitor.open("#drafts")
    expect(page.locator("#drafts-total")).to_contain_text("45 drafts")
    expect(shown(page)).to_have_count(20)
    visitor.press("#drafts-more")
    expect(shown(page)).to_have_count(40)
    visitor.press("#drafts-more")
    expect(shown(page)).to_have_count(45)
    expect(page.locator("#drafts-more")).to_be_hidden()
    assert shown(page).all_text_contents() == [f"Draft number {number}." for number in reversed(range(45))]
