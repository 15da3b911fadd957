// One draft: its text, its status, and what can be done with it.
import { action, copyFrom } from "./card.js";
import { element } from "./dom.js";
import { hasUnsavedEdit, makeEditor } from "./editor.js";
import { countGraphemes } from "./graphemes.js";
import { CountRing } from "./ring.js";

const STATUS_WORDS = { draft: "new", approved: "approved", rejected: "rejected", posted: "posted" };
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const full = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });
const STEPS = [["day", 86400], ["hour", 3600], ["minute", 60]];

function ago(when) {
  const seconds = (when.getTime() - Date.now()) / 1000;
  if (-seconds > 7 * 86400) return full.format(when);
  for (const [unit, length] of STEPS) if (-seconds >= length) return relative.format(Math.round(seconds / length), unit);
  return "just now";
}

// handlers: save(card, text), status(card, status), remove(card).
export class DraftCard {
  constructor(draft, limit, handlers) {
    this.draft = draft;
    this.limit = limit;
    this.handlers = handlers;
    this.editor = null;
    this.build();
    this.render();
  }

  build() {
    const { draft, handlers } = this;
    const name = `draft ${draft.id}`;
    this.ring = new CountRing();
    this.status = element("span", { class: "status" });
    const created = new Date(draft.created_at);
    this.time = element("time", { datetime: draft.created_at, title: full.format(created), text: ago(created) });
    this.text = element("p", { class: "card-text", dir: "auto" });
    this.body = element("div", { class: "card-body" }, this.text);
    const from = [draft.prompt ? `from “${draft.prompt}”` : "", draft.adapter ? `voice ${draft.adapter}` : ""].filter(Boolean).join(" · ");
    this.origin = element("p", { class: "card-origin", text: from, hidden: from === "" });
    this.copy = action("copy", "Copy", `Copy ${name}`, () => copyFrom(this.copy, draft.text, this.text));
    this.editButton = action("edit", "Edit", `Edit ${name}`, () => this.edit());
    this.approve = action("done", "Approve", `Approve ${name}`, () => this.toggle("approved"));
    this.reject = action("reject", "Reject", `Reject ${name}`, () => this.toggle("rejected"));
    this.trash = action("trash", "Delete", `Delete ${name}`, () => handlers.remove(this));
    this.foot = element("div", { class: "card-foot", role: "group", "aria-label": `What to do with ${name}` },
      this.copy, this.editButton, this.approve, this.reject, this.trash);
    this.element = element("article", { class: "card draft", tabindex: "-1", "aria-label": `Draft ${draft.id}`, "data-draft": draft.id },
      element("div", { class: "card-head" }, this.ring.element, this.status, this.time), this.body, this.origin, this.foot);
  }

  render() {
    const { draft } = this;
    this.text.textContent = draft.text;
    this.ring.set(countGraphemes(draft.text), this.limit);
    this.status.textContent = STATUS_WORDS[draft.status] ?? draft.status;
    this.status.dataset.status = draft.status;
    this.element.dataset.status = draft.status;
    this.approve.setAttribute("aria-pressed", String(draft.status === "approved"));
    this.reject.setAttribute("aria-pressed", String(draft.status === "rejected"));
    // What is posted stays posted.
    this.approve.hidden = this.reject.hidden = draft.status === "posted";
  }

  toggle(status) {
    this.handlers.status(this, this.draft.status === status ? "draft" : status);
  }

  // An edit that a reload interrupted opens again.
  resume() {
    if (hasUnsavedEdit(`draft${this.draft.id}`)) this.edit(false);
  }

  edit(focus = true) {
    if (this.editor !== null) return;
    this.editor = makeEditor({
      name: `draft${this.draft.id}`,
      label: `Text of draft ${this.draft.id}`,
      text: this.draft.text,
      onCount: (count) => this.ring.set(count, this.limit),
      onSave: async (text) => {
        if (text !== this.draft.text) await this.handlers.save(this, text);
      },
      onClose: () => this.closeEditor(),
    });
    this.body.append(this.editor.element);
    this.text.hidden = true;
    this.foot.hidden = true;
    this.editor.start(focus);
  }

  closeEditor() {
    this.editor.element.remove();
    this.editor = null;
    this.text.hidden = false;
    this.foot.hidden = false;
    this.render();
    this.editButton.focus({ preventScroll: true });
  }
}
