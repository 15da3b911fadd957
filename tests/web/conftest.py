"""Fixtures: the browser, a server shared by the tests, and a page in which every complaint is an error."""

import contextlib
import os
import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from bobby_server import BobbyServer

VIEWS = {
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    "phone": {"viewport": {"width": 375, "height": 812}, "has_touch": True, "is_mobile": True},
}
ARTIFACTS = Path(os.environ.get("BOBBY_WEB_ARTIFACTS", "build/web-artifacts")).resolve()
WRITING_MS = int(os.environ.get("BOBBY_WEB_WAIT_MS", "120000"))


def pytest_configure(config):
    missing = [name for name in ("BOBBY_BIN", "BOBBY_MODEL") if not os.environ.get(name)]
    if missing:
        pytest.exit(f"set {' and '.join(missing)}, or run page_test.py with --bobby and --model", returncode=2)
    ARTIFACTS.mkdir(parents=True, exist_ok=True)


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        path = os.environ.get("BOBBY_CHROMIUM", "/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    server = BobbyServer(tmp_path_factory.mktemp("shared")).start()
    yield server
    server.stop()


@pytest.fixture
def own_server(tmp_path):
    """Makes servers that one test alone may kill."""
    made = []

    def make(start=True, **options):
        server = BobbyServer(tmp_path, **options)
        made.append(server)
        return server.start() if start else server

    yield make
    for server in made:
        server.stop()


SOME_TEXT = ("[...document.querySelectorAll('.card[data-state=writing] .card-text')]"
             ".some(p => p.textContent.length > 10)")


class Visitor:
    """A page and what a person does on it, by mouse or by touch."""

    def __init__(self, context, view, server):
        self.context = context
        self.view = view
        self.server = server
        self.url = server.url
        self.complaints = []
        self.expected = []  # patterns of complaints that a test provokes
        self.page = context.new_page()
        self.page.set_default_timeout(15_000)
        self.page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        self.page.on("console", self.on_console)
        self.page.on("request", self.on_request)
        # /ready answers 503 until the model is there.
        self.expect(r"503.*/ready$")

    def on_console(self, message):
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} @ {message.location.get('url', '')}")

    def on_request(self, request):
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.complaints.append(f"a request to another host: {request.url}")

    def expect(self, pattern):
        self.expected.append(re.compile(pattern))

    def unexpected(self):
        return [one for one in self.complaints if not any(p.search(one) for p in self.expected)]

    def open(self, path="", ready=True):
        self.page.goto(self.url + path)
        if ready:
            self.wait_ready()
        return self.page

    def wait_ready(self):
        self.page.wait_for_selector("#model-line[data-state=ready]", state="attached", timeout=WRITING_MS)
        self.page.wait_for_selector("#suggestions .chip", state="attached")

    def press(self, target):
        locator = self.page.locator(target) if isinstance(target, str) else target
        if self.view == "phone":
            locator.tap()
        else:
            locator.click()

    def button(self, name, exact=False):
        return self.page.get_by_role("button", name=name, exact=exact)

    def fill(self, prompt="write about coffee", count=2, max_tokens=30):
        page = self.page
        page.fill("#prompt", prompt)
        page.fill("#count", str(count))
        self.open_tuning()
        page.fill("#max_tokens", str(max_tokens))

    def write(self, **form):
        """Fills the form and starts."""
        self.fill(**form)
        self.press("#generate")

    def open_tuning(self):
        if self.page.locator("#tuning[open]").count() == 0:
            self.press("#tuning summary")

    def wait_done(self):
        self.page.wait_for_selector("#generate:visible", timeout=WRITING_MS)

    def until(self, expression, arg=None):
        """Waits until it holds; wait_for_function would evaluate text in the page, which its CSP forbids."""
        deadline = time.monotonic() + 15
        while not self.page.evaluate(expression, arg):
            assert time.monotonic() < deadline, f"never came true: {expression}"
            self.page.wait_for_timeout(25)

    @contextlib.contextmanager
    def mid_writing(self, start=None, **form):
        """Fills the form and starts, or does `start`, and holds the server as soon as some text can be seen, so
        that a slow browser is not too late for it; the server goes on at the end."""
        if start is None:
            self.fill(**form)
        self.server.pause()
        try:
            (start or (lambda: self.press("#generate")))()
            deadline = time.monotonic() + 60
            while not self.page.evaluate(SOME_TEXT):
                assert time.monotonic() < deadline, "no text was ever seen"
                self.server.resume()
                time.sleep(0.02)
                self.server.pause()
                self.page.wait_for_timeout(20)
            yield
        finally:
            self.server.resume()

    def cards(self):
        return self.page.locator("#posts .card:visible")

    def text(self, index):
        return self.cards().nth(index).locator(".card-text").text_content()

    def shot(self, name, full=False):
        theme = self.page.evaluate("document.documentElement.dataset.theme")
        self.page.wait_for_timeout(350)
        self.page.screenshot(path=ARTIFACTS / f"{self.view}-{theme}-{name}.png", full_page=full)


@pytest.fixture
def visit(browser, server):
    """visit(view, server=..., **context options) -> Visitor; complaints of the page fail the test."""
    visitors = []

    def make(view="desktop", at=None, **options):
        context = browser.new_context(**{**VIEWS[view], **options})
        context.add_init_script(
            "addEventListener('securitypolicyviolation', e => console.error('CSP: ' + e.violatedDirective + ' ' + e.blockedURI))")
        visitors.append(Visitor(context, view, at or server))
        return visitors[-1]

    yield make
    complaints = [one for visitor in visitors for one in visitor.unexpected()]
    for visitor in visitors:
        visitor.context.close()
    assert complaints == []


@pytest.fixture(params=list(VIEWS))
def view(request):
    return request.param
