"""The drafts list and the bot: one store, in which the page shows what commands do, and they find what it decided."""

import re
import signal
import time

import pytest
from playwright.sync_api import expect

from fake_service import DID, HANDLE, FakeService

SEEN_MS = 15_000  # the page looks every four seconds


@pytest.fixture(scope="module")
def service(server):
    """An account's server, at which `bobby bot` is logged in."""
    service = FakeService()
    login = server.command("bot", "login", HANDLE, "--service", service.url, "--password-file", "-",
                           stdin="abcd-efgh-ijkl-mnop\n")
    assert login.returncode == 0, login.stderr
    yield service
    service.stop()


@pytest.fixture
def bot(server, service):
    """bot(words): `bobby bot`, on the store of the page's server."""
    service.mode = "take"
    service.records.clear()
    server.clear_drafts()

    def run(*words, stdin="", code=0):
        done = server.command("bot", *words, stdin=stdin)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    yield run
    service.mode = "take"
    server.clear_drafts()


@pytest.fixture
def make(server):
    return lambda *texts: [server.call("POST", "/v1/drafts", {"text": text})["id"] for text in texts]


def look(visitor):
    """The page looks at once, as when it comes back into view, and not when its time comes."""
    visitor.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def stop_looking(page):
    """Whose clock was installed: it jumps to a time that no machine is too slow for, where timers stand still. The look
    that falls due on the way has its answer when this ends."""
    with page.expect_response(lambda response: "/v1/drafts" in response.url):
        page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 60)


class Card:
    def __init__(self, visitor, number):
        self.visitor = visitor
        self.number = number
        self.root = visitor.page.locator(f"[data-draft='{number}']")
        self.text = self.root.locator(".card-text")
        self.words = self.root.locator(".card-standing > span")

    def button(self, name):
        return self.root.get_by_role("button", name=f"{name} draft {self.number}", exact=True)

    def press(self, name):
        self.visitor.press(self.button(name))

    def comes_to_stand(self, word):
        """Somebody else did it."""
        look(self.visitor)
        self.stands(word)

    def stands(self, word):
        expect(self.root.locator(".status")).to_have_text(word, timeout=SEEN_MS)

    def offers(self, *names):
        for name in ("Copy", "Edit", "Approve", "Reject", "Take back", "Delete"):
            expect(self.button(name)).to_be_visible(visible=name in names)


def reject(visitor, card, reason):
    card.press("Reject")
    expect(visitor.page.locator("#reject-dialog")).to_be_visible()
    visitor.page.fill("#reject-reason", reason)
    visitor.press(visitor.page.locator("#reject-dialog").get_by_role("button", name="Reject"))
    expect(visitor.page.locator("#reject-dialog")).to_be_hidden()


def test_what_commands_do_is_seen_on_the_page(visit, view, server, service, bot, make):
    one, two, three = make("A kettle sings before it boils.", "Not how I talk.", "Left alone.")
    visitor = visit(view)
    page = visitor.open("#drafts")
    page.evaluate("window.neverReloaded = true")
    cards = {number: Card(visitor, number) for number in (one, two, three)}

    bot("approve", str(one))
    cards[one].stands("approved")
    expect(cards[one].words).to_contain_text("posts it when its time comes")
    bot("reject", str(two), "--reason", "not how I talk")
    cards[two].comes_to_stand("rejected")
    expect(cards[two].words).to_have_text("Rejected just now: not how I talk")
    bot("post", str(one))
    cards[one].comes_to_stand("posted")
    (key,) = service.records
    link = cards[one].root.get_by_role("link")
    expect(link).to_have_attribute("href", f"https://bsky.app/profile/{DID}/post/{key}")
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    expect(page.locator("#announcer")).to_contain_text(f"Draft {one}: Posted")
    cards[one].offers("Copy", "Delete")
    cards[three].stands("new")
    assert page.evaluate("window.neverReloaded"), "it came without a reload"
    visitor.shot("bot-drafts", full=True)

    (late,) = make("Written while someone looks.")
    look(visitor)
    expect(Card(visitor, late).text).to_be_visible(timeout=SEEN_MS)
    assert page.locator("#drafts-list .card-text").first.text_content() == "Written while someone looks."
    server.call("DELETE", f"/v1/drafts/{late}")
    look(visitor)
    expect(Card(visitor, late).root).to_have_count(0, timeout=SEEN_MS)


def test_what_the_page_decides_reaches_the_bot(visit, view, server, service, bot, make):
    one, two = make("Approved on the page.", "Too loud.")
    visitor = visit(view)
    page = visitor.open("#drafts")
    first, second = Card(visitor, one), Card(visitor, two)

    second.press("Reject")
    expect(page.locator("#reject-dialog")).to_contain_text("Too loud.")
    expect(page.locator("#reject-reason")).to_be_focused()
    visitor.shot("reject")
    visitor.press(page.locator("#reject-dialog").get_by_role("button", name="Cancel"))
    second.stands("new")
    expect(second.button("Reject")).to_be_focused()
    reject(visitor, second, "I never shout")
    second.stands("rejected")
    expect(second.words).to_have_text("Rejected just now: I never shout")
    assert ": I never shout" in bot("review", str(two), stdin="q\n")
    page.reload()
    visitor.wait_ready()
    expect(second.words).to_contain_text("I never shout")
    second.press("Reject")
    second.stands("new")

    first.press("Approve")
    first.stands("approved")
    # A changed text has to be approved again: said before, and said after.
    first.press("Edit")
    expect(first.root.locator(".editor")).to_contain_text("has to be approved again")
    page.fill("#drafts-list .edit-field", "Approved, then changed.")
    visitor.press(first.root.get_by_role("button", name="Save"))
    first.stands("new")
    expect(first.words).to_have_text("Its approval ended just now: its text was changed.")
    expect(page.locator("#notices")).to_contain_text(f"Draft {one} is a new one again")
    bot("post", str(one), code=2)
    visitor.press(visitor.button("Approve it"))
    first.stands("approved")
    assert re.match(r"at://", bot("post", str(one)))
    first.comes_to_stand("posted")
    assert [record["text"] for record in service.records.values()] == ["Approved, then changed."]


def test_what_is_being_posted_is_left_alone(visit, view, server, service, bot, make):
    (one,) = make("On its way.")
    bot("approve", str(one))
    visitor = visit(view)
    visitor.page.clock.install()
    page = visitor.open("#drafts")
    card = Card(visitor, one)
    card.stands("approved")
    # The page does not look for a while, so that it does not know yet.
    stop_looking(page)
    service.mode = "fail"
    posting = server.start_command("bot", "post", str(one))
    deadline = time.monotonic() + 30
    while server.call("GET", f"/v1/drafts/{one}")["post"]["state"] != "sending":
        assert time.monotonic() < deadline and posting.poll() is None
        time.sleep(0.02)
    visitor.expect("409 ")
    card.press("Approve")
    expect(page.locator("#notices")).to_contain_text(f"Not changed. Draft {one} is being posted; wait until it is known whether it was.")
    card.stands("being posted")
    expect(card.words).to_contain_text("Whether it was posted is not known")
    card.offers("Copy")
    visitor.shot("sending")
    page.clock.resume()
    service.mode = "take"
    card.stands("posted")
    posting.send_signal(signal.SIGINT)
    posting.communicate(timeout=60)


def test_what_was_refused_is_said_in_words(visit, view, server, service, bot, make):
    one, two = make("The server will not have this.", "Another.")
    service.mode = "refuse"
    visitor = visit(view)
    page = visitor.open("#drafts")
    filters = page.locator("#draft-filter button")
    expect(filters.filter(has_text="Refused")).to_be_hidden()
    card = Card(visitor, one)
    card.press("Approve")
    card.stands("approved")
    bot("post", str(one), code=2)
    card.comes_to_stand("refused")
    expect(card.words).to_contain_text("Not posted, and not tried again:")
    expect(card.words).to_contain_text("Record/text must not be longer than 300 graphemes. Change its text")
    card.offers("Copy", "Edit", "Reject", "Take back", "Delete")
    visitor.shot("refused", full=True)
    visitor.press(filters.filter(has_text="Refused 1"))
    expect(page.locator("#drafts-list .card-text")).to_have_text(["The server will not have this."])
    visitor.shot("refused-alone")
    card.press("Take back")
    card.stands("new")
    expect(card.button("Take back")).to_be_hidden()
    expect(card.root).to_be_focused()
    visitor.press(filters.filter(has_text="All"))
    expect(filters.filter(has_text="Refused")).to_be_hidden()
    service.mode = "take"
    card.press("Approve")
    card.stands("approved")
    bot("post", str(one))
    card.comes_to_stand("posted")


def test_nothing_is_approved_that_was_not_seen(visit, server, bot, make):
    (one,) = make("Seen.")
    visitor = visit()
    visitor.page.clock.install()
    page = visitor.open("#drafts")
    card = Card(visitor, one)
    card.stands("new")
    stop_looking(page)
    server.call("PATCH", f"/v1/drafts/{one}", {"text": "Changed elsewhere."})
    visitor.expect("409 ")
    card.press("Approve")
    expect(page.locator("#notices")).to_contain_text(f"Draft {one} has another text by now")
    expect(card.text).to_have_text("Changed elsewhere.")
    assert server.call("GET", f"/v1/drafts/{one}")["status"] == "draft"
    # Nor is an edit put in the place of one that was not seen, unless someone says so.
    card.press("Edit")
    page.fill(".edit-field", "Mine.")
    server.call("PATCH", f"/v1/drafts/{one}", {"text": "Changed again."})
    save = card.root.get_by_role("button", name="Save")
    visitor.press(save)
    expect(card.root.locator(".field-error")).to_contain_text("It was changed elsewhere to “Changed again.”")
    assert page.input_value(".edit-field") == "Mine."
    visitor.press(save)
    expect(card.text).to_have_text("Mine.")
    assert server.call("GET", f"/v1/drafts/{one}")["text"] == "Mine."


def test_by_keys_alone(visit, server, bot, make):
    (one,) = make("By keys.")
    visitor = visit()
    page = visitor.open("#drafts")
    card = Card(visitor, one)
    card.stands("new")
    for keys, word in (("ja", "approved"), ("u", "new")):
        for key in keys:
            page.keyboard.press(key)
        card.stands(word)
    page.keyboard.press("r")
    expect(page.locator("#reject-reason")).to_be_focused()
    assert page.input_value("#reject-reason") == "", "the key that opened it is no text"
    page.keyboard.press("Escape")
    expect(page.locator("#reject-dialog")).to_be_hidden()
    card.stands("new")
    page.keyboard.press("r")
    page.keyboard.type("as I said, no")
    page.keyboard.press("Enter")
    card.stands("rejected")
    assert server.call("GET", f"/v1/drafts/{one}")["decision"]["reason"] == "as I said, no"
    expect(card.root).to_be_focused()
    page.keyboard.press("u")
    card.stands("new")


def test_an_edit_is_not_disturbed_by_looking(visit, server, bot, make):
    one, two = make("Being edited.", "Elsewhere.")
    visitor = visit()
    page = visitor.open("#drafts")
    card, other = Card(visitor, one), Card(visitor, two)
    card.press("Edit")
    page.fill(".edit-field", "Half a sen")
    server.call("PATCH", f"/v1/drafts/{two}", {"status": "approved"})
    other.comes_to_stand("approved")
    assert page.input_value(".edit-field") == "Half a sen"
    expect(page.locator(".edit-field")).to_be_focused()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_each_state_on_one_page(visit, view, theme, server, service, bot, make):
    """What a person sees, for a look at the screenshots, and that nothing runs off a phone."""
    posted, refused, rejected, approved, _ = make(
        "The bread rose slowly, and so did I.", "A text that its server will not have.", "Buzzwords, at scale!",
        "Rain on the window, tea in the cup, and a bug that reads like a poem.", "Nobody has looked at this one yet.")
    for number in (posted, refused, approved):
        bot("approve", str(number))
    bot("post", str(posted))
    service.mode = "refuse"
    bot("post", str(refused), code=2)
    bot("reject", str(rejected), "--reason", "not how I talk")
    visitor = visit(view, color_scheme=theme)
    page = visitor.open("#drafts")
    expect(page.locator("#drafts-list .status")).to_have_text(["new", "approved", "rejected", "refused", "posted"])
    visitor.shot("bot-states", full=True)
    card = Card(visitor, approved)
    card.press("Edit")
    visitor.shot("edit-approved")
    page.keyboard.press("Escape")
    card.press("Reject")
    visitor.shot("reject-dialog")
    page.keyboard.press("Escape")
    if view == "phone":
        page.set_viewport_size({"width": 320, "height": 640})
        visitor.shot("bot-states-smallest", full=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
