"""The page that `bobby data inspect --html` writes: it stands alone, holds hostile texts as text, and can be read
by keyboard, by screen reader, on a phone and in the dark."""

import json
import os
import subprocess

import pytest

from access_test import DANGLING, NAMES, contrast
from conftest import ARTIFACTS, VIEWS

HOSTILE = ("<script>window.ran = 1</script><img src=x onerror=\"window.ran = 2\"><svg onload='window.ran = 3'> "
           "\u202egnirts\u202c \x1b[31mred\x00 --> ]]> </style></title></svg> &amp; javascript:alert(1) "
           "Z\u0338\u031b\u034e\u0359\u0329a\u0334l\u0337go " + "w" * 400 + " \U0001F468\u200D\U0001F469\u200D\U0001F467")
# What is text or a plot's mark, on what it lies on: names of the page's palette.
PAIRS = [("--ink", "--paper", 7), ("--ink", "--surface", 7), ("--quiet", "--paper", 4.5), ("--quiet", "--surface", 4.5),
         ("--quiet", "--sunken", 4.5), ("--ink", "--near-soft", 7), ("--ink", "--accent-mid", 4.5), ("--ink", "--accent-soft", 4.5),
         ("--over", "--surface", 4.5), ("--over", "--over-soft", 4.5), ("--near", "--surface", 4.5), ("--accent-deep", "--paper", 4.5),
         ("--accent-deep", "--surface", 4.5), ("--accent-deep", "--accent-soft", 4.5), ("--near-soft", "--near", 4.5),
         ("--bar", "--surface", 3)]


def write_set(folder, count):
    folder.mkdir()
    words = "kettle fog bakery umbrella rain toast library geese council Monday".split()
    posts = [" ".join(words[(i * step) % 10] for step in range(1, 4 + i * 7 % 23)) + f" {i}." for i in range(count)]
    posts[3] = HOSTILE
    posts.append(posts[5])
    for name, texts in (("train", posts), ("valid", posts[:3] + [HOSTILE, posts[9] + "!"])):
        lines = [json.dumps({"messages": [{"role": "user", "content": HOSTILE if i == 4 else "write about rain"},
                                          {"role": "assistant", "content": text}]}) for i, text in enumerate(texts)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "manifest.json").write_text(json.dumps({
        "format": "bobby-dataset", "version": 1, "settings": {},
        "sources": [{"kind": "twitter", "name": HOSTILE, "weight": 3, "read": 90, "taken": count,
                     "left_out": {HOSTILE: 12, "a reply": 30}, "train_posts": count, "train_records": count}], "files": []}))


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inspect")
    write_set(folder / "posts", 60)
    file = folder / "page.html"
    made = subprocess.run([os.environ["BOBBY_BIN"], "data", "inspect", folder / "posts", "--model", os.environ["BOBBY_MODEL"],
                           "--max-seq-length", "96", "--samples", "100", "--html", file], capture_output=True, text=True,
                          env={"HOME": str(folder), "PATH": os.environ["PATH"]})
    assert made.returncode == 0, made.stderr
    assert "\x1b" not in made.stdout and "\x00" not in made.stdout
    return file


@pytest.fixture
def open_page(browser, page_file):
    """open_page(view, **context options) -> page; what it complains of or asks for fails the test."""
    contexts, complaints = [], []

    def make(view="desktop", **options):
        context = browser.new_context(**{**VIEWS[view], **options})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(f"exception: {error}"))
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("dialog", lambda dialog: (complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: request.url == page_file.as_uri() or complaints.append(f"request: {request.url}"))
        page.goto(page_file.as_uri())
        return page

    yield make
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_loads_alone_and_fits(open_page, view, theme):
    page = open_page(view, color_scheme=theme)
    page.wait_for_timeout(100)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.screenshot(path=ARTIFACTS / f"data-inspect-{view}-{theme}.png", full_page=True)


def test_it_fits_the_smallest_phone(open_page):
    page = open_page("phone", viewport={"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_hostile_texts_are_texts(open_page):
    page = open_page()
    assert page.evaluate("[typeof window.ran, document.scripts.length, document.images.length]") == ["undefined", 0, 0]
    assert page.evaluate("[...document.querySelectorAll('*')].filter(one => [...one.attributes].some(a => a.name.startsWith('on'))).length") == 0
    assert page.evaluate("[...document.querySelectorAll('a')].every(a => a.getAttribute('href').startsWith('#'))")
    assert page.locator("#repeats .post", has_text="<script>window.ran = 1</script>").count() >= 1
    assert page.locator("#prompts th", has_text="<script>").count() == 1
    assert page.locator("#origin h3", has_text="<img src=x").count() == 1
    # Its own words come after the texts: nothing swallowed the rest of the page.
    assert page.locator("body > footer").is_visible()


def test_the_mask_is_shown_token_by_token(open_page):
    page = open_page()
    samples = page.locator(".sample")
    assert samples.count() > 60
    first = samples.first
    assert first.locator(".part h4").all_text_contents() == ["Read, not learned", "Learned"]
    assert first.locator(".learned .run > span").count() > 3
    assert first.locator(".learned .run > span").last.text_content() == "<|im_end|>"
    assert page.locator(".part.cut").count() >= 1


def test_what_looks_wrong_is_said(open_page):
    text = open_page().locator(".findings").text_content()
    assert "records are in both train.jsonl and valid.jsonl" in text
    assert "are cut at 96 tokens" in text


def test_it_can_be_read_without_seeing_it(open_page, view):
    page = open_page(view)
    assert page.evaluate(NAMES) == []
    assert page.evaluate(DANGLING) == []
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(one => one.id)")
    assert len(ids) == len(set(ids))
    assert page.locator("h1").count() == 1
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map(one => +one.tagName[1])")
    assert all(later - earlier <= 2 for earlier, later in zip(levels, levels[1:]))
    plots = page.evaluate("[...document.querySelectorAll('svg.plot')].map(one => one.getAttribute('role') + ' ' + one.querySelector('desc').textContent)")
    assert len(plots) == 2 and all(one.startswith("img train: half are of") for one in plots)


def test_keyboard_alone(open_page):
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip-link"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.locator(".numbers summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator(".numbers table").first.is_visible()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_palette_has_contrast_enough(open_page, theme):
    page = open_page(color_scheme=theme)
    low = []
    for front, back, least in PAIRS:
        colours = page.evaluate("names => names.map(name => getComputedStyle(document.documentElement).getPropertyValue(name).trim())", [front, back])
        if (ratio := contrast(*colours)) < least:
            low.append(f"{front} on {back}: {ratio:.2f} < {least}")
    assert low == []
