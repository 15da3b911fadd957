// One post on the page: its ring, its text while it is written and after, and what can be done with it.
import { copyText, selectText } from "./copy.js";
import { element } from "./dom.js";
import { forgetEdit, hasUnsavedEdit, makeEditor } from "./editor.js";
import { countGraphemes } from "./graphemes.js";
import { setIcon } from "./icons.js";
import { announce, notice } from "./notices.js";
import { CountRing } from "./ring.js";

const BUSY = new Set(["waiting", "writing"]);
export const isBusy = (post) => BUSY.has(post.state);

// A labelled icon button of a card's foot; its accessible name says which post it belongs to.
export function action(icon, label, name, run) {
  const made = element("button", { type: "button", class: "action", icon, "aria-label": name, on: { click: run } });
  made.append(element("span", { class: "action-label", text: label }));
  return made;
}

// Copies, and says so on the button itself for a moment.
export async function copyFrom(button, text, text_place) {
  const copied = await copyText(text);
  if (!copied) {
    selectText(text_place);
    notice("This browser does not let the page copy. The text is selected: press Ctrl+C (or hold it on a phone).");
    return;
  }
  const label = button.querySelector(".action-label");
  setIcon(button, "done");
  label.textContent = "Copied";
  button.dataset.done = "true";
  announce("Copied.");
  clearTimeout(button.copiedTimer);
  button.copiedTimer = setTimeout(() => {
    setIcon(button, "copy");
    label.textContent = "Copy";
    delete button.dataset.done;
  }, 1600);
}

const FINISHES = {
  stop: "the model ended it",
  length: "it reached the most tokens",
  length_limit: "it reached the most characters",
};

function detailRows(post) {
  const detail = post.detail ?? {};
  const rows = [
    ["Seed", detail.seed],
    ["Tokens", detail.tokens],
    ["Speed", detail.decode_tok_s > 0 ? `${detail.decode_tok_s.toFixed(1)} tokens a second` : null],
    ["Before the first word", Number.isFinite(detail.prefill_ms) ? `${Math.round(detail.prefill_ms)} ms` : null],
    ["Tries", detail.tries],
    ["Ended because", FINISHES[detail.finish_reason] ?? detail.finish_reason],
    ["Mean log-probability", Number.isFinite(detail.mean_logprob) ? detail.mean_logprob.toFixed(2) : null],
    ["Prompt", post.request.prompt || "the usual one"],
    ["Voice", post.voice],
  ];
  return rows.filter(([, value]) => value !== undefined && value !== null && value !== "");
}

// handlers: again(post), keep(post), remove(post), changed(post), openDrafts().
export class PostCard {
  constructor(post, handlers) {
    this.post = post;
    this.handlers = handlers;
    this.editor = null;
    this.build();
    this.render();
    if (hasUnsavedEdit(post.id)) this.edit(false);
  }

  build() {
    const { post, handlers } = this;
    const name = `post ${post.index + 1}`;
    this.ring = new CountRing();
    this.note = element("span", { class: "card-note" });
    this.details = element("dl", { class: "card-details", id: `details-${post.id}`, hidden: true });
    this.more = element("button", {
      type: "button", class: "icon-button small", icon: "details", "aria-label": `Details of ${name}`,
      "aria-expanded": "false", "aria-controls": this.details.id, on: { click: () => this.toggleDetails() },
    });
    this.text = element("p", { class: "card-text", dir: "auto" });
    this.body = element("div", { class: "card-body" }, this.text);
    this.copy = action("copy", "Copy", `Copy ${name}`, () => copyFrom(this.copy, post.text, this.text));
    this.editButton = action("edit", "Edit", `Edit ${name}`, () => this.edit());
    this.again = action("again", "Another", `Another version of ${name}`, () => handlers.again(post));
    this.keep = action("keep", "Keep", `Keep ${name} as a draft`, () =>
      post.draftId === null ? handlers.keep(post) : handlers.openDrafts());
    this.trash = action("trash", "Delete", `Delete ${name}`, () => handlers.remove(post));
    this.foot = element("div", { class: "card-foot", role: "group", "aria-label": `What to do with ${name}` },
      this.copy, this.editButton, this.again, this.keep, this.trash);
    this.element = element("article", { class: "card", tabindex: "-1", "aria-label": `Post ${post.index + 1}`, "data-post": post.id },
      element("div", { class: "card-head" }, this.ring.element, this.note, this.more), this.body, this.details, this.foot);
  }

  render() {
    const { post } = this;
    const busy = isBusy(post);
    this.element.dataset.state = post.state;
    this.element.setAttribute("aria-busy", String(busy));
    this.note.textContent = post.note;
    this.foot.inert = busy;
    this.more.hidden = busy;
    this.text.textContent = post.text;
    if (busy) this.body.scrollTop = this.body.scrollHeight;
    this.ring.set(countGraphemes(post.text), post.limit);
    this.renderFailure();
    const kept = post.draftId !== null;
    this.keep.setAttribute("aria-label", kept ? `In drafts: post ${post.index + 1}, show the drafts` : `Keep post ${post.index + 1} as a draft`);
    this.keep.querySelector(".action-label").textContent = kept ? "In drafts" : "Keep";
    this.keep.dataset.done = String(kept);
    if (!this.details.hidden) this.fillDetails();
  }

  // No try was acceptable: says so, and offers the last one anyway.
  renderFailure() {
    const { post } = this;
    this.body.querySelector(".card-failure")?.remove();
    const failed = post.state === "failed";
    for (const button of [this.copy, this.editButton, this.keep]) button.hidden = failed;
    this.again.querySelector(".action-label").textContent = failed || post.state === "broken" ? "Try again" : "Another";
    this.text.hidden = failed || this.editor !== null;
    if (!failed) return;
    const last = post.rejected.at(-1);
    const failure = element("div", { class: "card-failure" },
      element("p", { text: `No try was good enough${last ? `; the last was ${last.reason}` : ""}. Try again, perhaps with other words or a higher temperature.` }));
    if (last?.text.trim()) {
      failure.append(element("blockquote", { text: last.text.trim() }), element("button", {
        type: "button", class: "text-button", text: "Use this one anyway", on: { click: () => this.useLast(last) },
      }));
    }
    this.body.append(failure);
  }

  useLast(last) {
    Object.assign(this.post, { state: "settled", text: last.text.trim(), note: "used anyway" });
    this.render();
    this.element.focus();
    this.handlers.changed(this.post);
  }

  edit(focus = true) {
    const { post } = this;
    if (this.editor !== null || isBusy(post)) return;
    this.editor = makeEditor({
      name: post.id,
      label: `Text of post ${post.index + 1}`,
      text: post.text,
      onCount: (count) => this.ring.set(count, post.limit),
      onSave: async (text) => {
        if (text === post.text) return;
        if (post.draftId !== null) await this.handlers.saveDraft(post, text);
        post.text = text;
        post.note = "edited";
        this.handlers.changed(post);
      },
      onClose: () => this.closeEditor(),
    });
    this.body.append(this.editor.element);
    this.text.hidden = true;
    this.foot.hidden = true;
    this.editor.start(focus);
  }

  closeEditor() {
    this.editor?.element.remove();
    this.editor = null;
    this.foot.hidden = false;
    this.render();
    this.editButton.focus({ preventScroll: true });
  }

  dropEdit() {
    forgetEdit(this.post.id);
    if (this.editor !== null) this.closeEditor();
  }

  toggleDetails() {
    this.details.hidden = !this.details.hidden;
    this.more.setAttribute("aria-expanded", String(!this.details.hidden));
    if (!this.details.hidden) this.fillDetails();
  }

  fillDetails() {
    const rows = detailRows(this.post).map(([term, value]) =>
      element("div", {}, element("dt", { text: term }), element("dd", { text: String(value) })));
    const tries = this.post.rejected.map((one) =>
      element("div", { class: "wide" }, element("dt", { text: `Try ${one.attempt + 1} was ${one.reason}` }),
        element("dd", { text: one.text.trim() || "(nothing)" })));
    this.details.replaceChildren(...rows, ...tries);
  }
}
