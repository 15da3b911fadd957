"""Keyboard alone, screen readers, contrast, and the modules that hold no page."""

import re

import pytest
from playwright.sync_api import expect

NAMES = """() => [...document.querySelectorAll("button, input, textarea, select, a[href]")].filter(one => {
  const labelled = (one.getAttribute("aria-labelledby") ?? "").split(" ").map(id => document.getElementById(id)?.textContent ?? "").join("");
  const label = [...(one.labels ?? [])].map(label => label.textContent).join("");
  return !(one.getAttribute("aria-label") || labelled || label || one.textContent || "").trim();
}).map(one => one.outerHTML)"""
DANGLING = """() => [...document.querySelectorAll("[aria-describedby], [aria-labelledby], [aria-controls], label[for]")].flatMap(one =>
  ["aria-describedby", "aria-labelledby", "aria-controls", "for"].flatMap(name => (one.getAttribute(name) ?? "").split(/\\s+/))
    .filter(id => id && !document.getElementById(id)))"""
SMALL = """() => [...document.querySelectorAll("button, summary, input:not([type=range]), textarea, a[href]")].filter(one => {
  const box = (one.type === "checkbox" ? one.closest("label") : one).getBoundingClientRect();
  return one.checkVisibility() && !one.classList.contains("skip-link") && (box.width < 36 || box.height < 36);
}).map(one => `${one.outerHTML.slice(0, 90)}`)"""
# Text on what lies behind it, by the names of the palette; 3 is for what is no text: rings and edges.
PAIRS = [
    ("ink", "paper", 4.5), ("ink", "surface", 4.5), ("ink", "over-soft", 4.5), ("quiet", "paper", 4.5), ("quiet", "surface", 4.5),
    ("quiet", "sunken", 4.5), ("quiet", "over-soft", 4.5), ("accent-deep", "surface", 4.5), ("accent-deep", "paper", 4.5),
    ("accent-deep", "accent-soft", 4.5), ("on-accent", "accent", 4.5), ("on-accent", "accent-deep", 4.5), ("near", "surface", 4.5),
    ("over", "surface", 4.5), ("over", "paper", 4.5), ("over", "over-soft", 4.5), ("paper", "ink", 4.5), ("edge", "surface", 3),
    ("accent", "surface", 3), ("accent", "paper", 3), ("accent", "line", 3),
]


def luminance(colour):
    parts = [int(colour[at:at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_palette_has_contrast_enough(visit, theme):
    page = visit(color_scheme=theme).open()
    low = []
    for front, back, least in PAIRS:
        colours = page.evaluate("names => names.map(name => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim())", [front, back])
        ratio = contrast(*colours)
        if ratio < least:
            low.append(f"{front} on {back}: {ratio:.2f} < {least}")
    assert low == []


def test_every_control_has_a_name_and_room(visit, view, server):
    visitor = visit(view)
    page = visitor.open()
    visitor.open_tuning()
    visitor.write(count=2)
    visitor.wait_done()
    visitor.press(visitor.button("Edit post 2"))
    for place in ("write", "drafts"):
        visitor.press(f"#tab-{place}")
        page.wait_for_timeout(200)
        assert page.evaluate(NAMES) == []
        assert page.evaluate(DANGLING) == []
        assert page.evaluate(SMALL) == []
        assert page.evaluate("[...document.querySelectorAll('[id]')].map(one => one.id).filter((id, at, all) => all.indexOf(id) !== at)") == []
        assert page.locator("h1:visible").count() == 1
    assert page.get_attribute("html", "lang") == "en"


def test_a_finished_post_is_announced_and_a_token_is_not(visit):
    visitor = visit()
    page = visitor.open()
    page.evaluate("""() => {
      window.said = [];
      new MutationObserver(() => { const t = document.getElementById("announcer").textContent; if (t) said.push(t); })
        .observe(document.getElementById("announcer"), {childList: true, characterData: true, subtree: true});
    }""")
    visitor.write(count=2, max_tokens=40)
    visitor.wait_done()
    page.wait_for_timeout(200)
    said = page.evaluate("said")
    finished = [one for one in said if re.match(r"Post \\d finished", one) or "finished" in one]
    assert 1 <= len(finished) <= 2 and len(said) <= 5, said
    assert page.locator("#posts [aria-live=polite], #posts [role=status]").count() == 0


def test_keyboard_alone(visit, server):
    server.clear_drafts()
    visitor = visit()
    page = visitor.open()
    keys = page.keyboard
    keys.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip-link"
    keys.press("/")
    assert page.evaluate("document.activeElement.id") == "prompt"
    keys.type("write about rain")
    with visitor.mid_writing(start=lambda: keys.press("Control+Enter")):
        expect(page.locator("#stop")).to_be_visible()
        keys.press("Escape")
    expect(page.locator("#generate")).to_be_visible()
    # Tab comes past every control, each with a focus that can be seen.
    page.focus("#prompt")
    seen = set()
    for _ in range(60):
        keys.press("Tab")
        at = page.evaluate("""() => { const one = document.activeElement; const style = getComputedStyle(one);
          return [one.id || one.getAttribute("aria-label") || one.textContent, style.outlineStyle !== "none" || style.boxShadow !== "none"]; }""")
        seen.add(at[0])
        assert at[1], f"the focus on {at[0]} cannot be seen"
        if at[0] == "posts-clear":
            break
    assert {"count", "voice-0", "scale-0", "generate", "posts-clear"} <= seen, seen

    page.fill("#count", "2")
    page.focus("#prompt")
    keys.press("Control+Enter")
    visitor.wait_done()
    page.focus("#generate")
    keys.press("j")
    keys.press("e")
    page.locator(".edit-field").wait_for()
    keys.press("Control+a")
    keys.type("By keyboard alone?")
    keys.press("Control+Enter")
    expect(visitor.cards().first.locator(".card-text")).to_have_text("By keyboard alone?")
    keys.press("s")
    expect(page.locator("#draft-count")).to_have_text("1")
    before = visitor.cards().count()
    keys.press("j")
    keys.press("x")
    expect(visitor.cards()).to_have_count(before - 1)
    keys.press("2")
    expect(page.locator("#drafts-list .card-text")).to_have_text(["By keyboard alone?"])
    keys.press("j")
    keys.press("a")
    expect(page.locator("#drafts-list .status")).to_have_text("approved")
    keys.press("?")
    expect(page.get_by_role("dialog", name="Help and shortcuts")).to_be_visible()
    page.focus("#single-keys")
    keys.press("Space")
    keys.press("Escape")
    keys.press("1")
    expect(page.locator("#view-drafts")).to_be_visible()
    server.clear_drafts()


def test_reduced_motion_is_respected(visit):
    visitor = visit(reduced_motion="reduce")
    page = visitor.open()
    visitor.write(count=1)
    page.wait_for_selector(".card")
    moving = "[...document.querySelectorAll('*')].filter(one => parseFloat(getComputedStyle(one).transitionDuration) > 0 || getComputedStyle(one).animationName !== 'none').length"
    assert page.evaluate(moving) == 0
    visitor.wait_done()


def test_events_are_found_whatever_the_chunks(visit):
    page = visit().open()
    assert page.evaluate("""async () => {
      const {EventParser, readEvents} = await import("/assets/sse.js");
      const text = ': keep-alive\\n\\ndata: {"a":"é👩‍👩‍👧"}\\r\\n\\r\\ndata:one\\ndata: two\\n\\nevent: x\\rdata: three\\r\\rdata: cut';
      const bytes = new TextEncoder().encode(text);
      const want = JSON.stringify(['{"a":"é👩‍👩‍👧"}', "one\\ntwo", "three"]);
      for (let size = 1; size <= bytes.length; size += 1) {
        const body = new ReadableStream({start(sink) {
          for (let at = 0; at < bytes.length; at += size) sink.enqueue(bytes.slice(at, at + size));
          sink.close();
        }});
        const got = [];
        for await (const data of readEvents(body)) got.push(data);
        if (JSON.stringify(got) !== want) return `chunks of ${size}: ${JSON.stringify(got)}`;
      }
      return "ok";
    }""") == "ok"


def test_graphemes_are_counted_as_readers_do(visit):
    page = visit().open()
    count = """async texts => { const {countGraphemes} = await import("/assets/graphemes.js"); return texts.map(countGraphemes); }"""
    texts = ["", "plain", "é", "e\u0301", "👩‍👩‍👧‍👦", "🇩🇪🇫🇷", "👍🏽!", "한국", "\r\n"]
    assert page.evaluate(count, texts) == [0, 5, 1, 1, 1, 2, 2, 2, 1]
    # Without Intl.Segmenter the fallback agrees on all but the line end.
    visitor = visit()
    visitor.page.add_init_script("delete Intl.Segmenter")
    visitor.open()
    assert visitor.page.evaluate(count, texts[:-1]) == [0, 5, 1, 1, 1, 2, 2, 2]
