// One draft: its text, where it stands, and what can be done with it there.
import { action, copyFrom } from "./card.js";
import { element, setText } from "./dom.js";
import { hasUnsavedEdit, makeEditor } from "./editor.js";
import { countGraphemes } from "./graphemes.js";
import { CountRing } from "./ring.js";
import { age, fullTime, standingInWord, standingInWords, standingOf } from "./standing.js";

// What can be done where: what is on its way, or was posted, stays as it is.
const EDIT = ["draft", "approved", "rejected", "refused"];
const APPROVE = ["draft", "approved", "rejected"];
const REJECT = [...APPROVE, "refused"];

// handlers: save(card, text), approve(card), reject(card), takeBack(card), remove(card).
export class DraftCard {
  constructor(draft, limit, handlers) {
    this.draft = draft;
    this.limit = limit;
    this.handlers = handlers;
    this.editor = null;
    this.seen_text = draft.text;
    this.build();
    this.render();
  }

  build() {
    const { draft, handlers } = this;
    const name = `draft ${draft.id}`;
    this.ring = new CountRing();
    this.status = element("span", { class: "status" });
    this.time = element("time", { datetime: draft.created_at, title: fullTime(draft.created_at) });
    this.text = element("p", { class: "card-text", dir: "auto" });
    this.body = element("div", { class: "card-body" }, this.text);
    this.words = element("span", { dir: "auto" });
    this.link = element("a", {
      target: "_blank", rel: "noopener noreferrer", icon: "away", "aria-label": `See ${name} on Bluesky, in a new tab`,
    });
    this.link.prepend("See it on Bluesky");
    this.standing = element("p", { class: "card-standing" }, this.words, this.link);
    const from = [draft.prompt ? `from “${draft.prompt}”` : "", draft.adapter ? `voice ${draft.adapter}` : ""].filter(Boolean).join(" · ");
    this.origin = element("p", { class: "card-origin", text: from, hidden: from === "" });
    this.copy = action("copy", "Copy", `Copy ${name}`, () => copyFrom(this.copy, this.draft.text, this.text));
    this.editButton = action("edit", "Edit", `Edit ${name}`, () => this.edit());
    this.approve = action("done", "Approve", `Approve ${name}`, () =>
      this.isPressed(this.approve) ? handlers.takeBack(this) : handlers.approve(this));
    this.reject = action("reject", "Reject", `Reject ${name}`, () =>
      this.isPressed(this.reject) ? handlers.takeBack(this) : handlers.reject(this));
    this.takeBack = action("back", "Take back", `Take back ${name}`, () => handlers.takeBack(this));
    this.trash = action("trash", "Delete", `Delete ${name}`, () => handlers.remove(this));
    this.foot = element("div", { class: "card-foot", role: "group", "aria-label": `What to do with ${name}` },
      this.copy, this.editButton, this.takeBack, this.approve, this.reject, this.trash);
    this.element = element("article", { class: "card draft", tabindex: "-1", "aria-label": `Draft ${draft.id}`, "data-draft": draft.id },
      element("div", { class: "card-head" }, this.ring.element, this.status, this.time),
      this.body, this.standing, this.origin, this.foot);
  }

  isPressed(button) {
    return button.getAttribute("aria-pressed") === "true";
  }

  // The button that takes back what was decided, if anything was.
  takingBack() {
    if (!this.takeBack.hidden) return this.takeBack;
    return [this.approve, this.reject].find((button) => !button.hidden && this.isPressed(button));
  }

  // The draft as the server has it now. An edit that is open stays open.
  take(draft) {
    Object.assign(this.draft, draft);
    this.render();
  }

  render() {
    const { draft } = this;
    const standing = standingOf(draft);
    setText(this.text, draft.text);
    if (this.editor === null) this.ring.set(countGraphemes(draft.text), this.limit);
    setText(this.time, age(draft.created_at));
    setText(this.status, standingInWord(draft));
    this.status.dataset.status = standing;
    this.element.dataset.status = standing;
    this.renderStanding();
    this.approve.setAttribute("aria-pressed", String(standing === "approved"));
    this.reject.setAttribute("aria-pressed", String(standing === "rejected"));
    this.renderActions(standing);
  }

  renderStanding() {
    const { draft } = this;
    const words = standingInWords(draft);
    setText(this.words, words);
    const url = draft.post?.url ?? "";
    this.link.hidden = !url.startsWith("https://");
    if (!this.link.hidden) this.link.href = url;
    this.standing.hidden = words === "" && this.link.hidden;
  }

  renderActions(standing) {
    const focused = this.foot.contains(document.activeElement) ? document.activeElement : null;
    const by_hand = standing === "posted" && !this.draft.post;
    this.editButton.hidden = !EDIT.includes(standing) && !by_hand;
    this.approve.hidden = !APPROVE.includes(standing);
    this.reject.hidden = !REJECT.includes(standing);
    this.takeBack.hidden = standing !== "refused" && !by_hand;
    this.trash.hidden = standing === "sending";
    // What someone was about to press went away: the keyboard stays at the card.
    if (focused?.hidden) this.element.focus({ preventScroll: true });
  }

  // An edit that a reload interrupted opens again.
  resume() {
    if (hasUnsavedEdit(`draft${this.draft.id}`)) this.edit(false);
  }

  edit(focus = true) {
    if (this.editor !== null) return;
    this.seen_text = this.draft.text;
    this.editor = makeEditor({
      name: `draft${this.draft.id}`,
      label: `Text of draft ${this.draft.id}`,
      text: this.draft.text,
      note: this.draft.status === "approved" ? "A changed text has to be approved again." : "",
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
    (this.editButton.hidden ? this.element : this.editButton).focus({ preventScroll: true });
  }
}
