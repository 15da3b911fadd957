// Keys. Single-key shortcuts can be turned off in the help, for those who speak to their computer.
import { shownCards, stopAll } from "./posts.js";
import { byId } from "./dom.js";
import { dialogOpen, openHelp } from "./dialogs.js";
import { shownDrafts } from "./drafts.js";

const mac = /Mac|iPhone|iPad/.test(navigator.platform ?? "");
export const COMMAND = mac ? "⌘" : "Ctrl";

export const SHORTCUTS = [
  { keys: [COMMAND, "Enter"], words: "Write posts; in an edit: save" },
  { keys: ["Esc"], words: "Stop writing; in an edit: cancel" },
  { keys: ["/"], words: "Go to the prompt, or to the search" },
  { keys: ["j", "k"], words: "Next and previous card" },
  { keys: ["c"], words: "Copy the card" },
  { keys: ["e"], words: "Edit the card" },
  { keys: ["a"], words: "Another version, or approve a draft" },
  { keys: ["s"], words: "Keep as a draft" },
  { keys: ["r"], words: "Reject a draft" },
  { keys: ["u"], words: "Take back what was decided about a draft" },
  { keys: ["x"], words: "Delete the card" },
  { keys: ["1", "2"], words: "Write, Drafts" },
  { keys: ["?"], words: "This help" },
];

let single_keys = true;

function readChoice() {
  try {
    single_keys = localStorage.getItem("bobby.single-keys") !== "off";
  } catch {
    single_keys = true;
  }
}

function keepChoice() {
  single_keys = byId("single-keys").checked;
  try {
    if (single_keys) localStorage.removeItem("bobby.single-keys");
    else localStorage.setItem("bobby.single-keys", "off");
  } catch {
    // Without storage the choice holds until the page is left.
  }
}

const typing = (target) => target.closest("textarea, select, input:not([type=checkbox]):not([type=range])") !== null;
const inWrite = () => !byId("view-write").hidden;
const cardsHere = () => (inWrite() ? shownCards() : shownDrafts());
const focused = () => cardsHere().find((card) => card.element.contains(document.activeElement));

function move(step) {
  const cards = cardsHere();
  if (cards.length === 0) return;
  const at = cards.indexOf(focused());
  const next = cards[at < 0 ? (step > 0 ? 0 : cards.length - 1) : Math.max(0, Math.min(cards.length - 1, at + step))];
  next.element.focus({ preventScroll: true });
  next.element.scrollIntoView({ block: "nearest" });
}

function pressOn(card, button) {
  if (button && !card.foot.inert && !card.foot.hidden) button.click();
}

const press = (...names) => {
  const card = focused();
  pressOn(card, names.map((name) => card?.[name]).find((one) => one && !one.hidden));
};

function takeBack() {
  const card = focused();
  pressOn(card, card?.takingBack?.());
}

const SINGLE = {
  "?": openHelp,
  "/": () => byId(inWrite() ? "prompt" : "draft-search").focus(),
  1: () => { location.hash = "write"; },
  2: () => { location.hash = "drafts"; },
  j: () => move(1),
  k: () => move(-1),
  c: () => press("copy"),
  e: () => press("editButton"),
  a: () => press("again", "approve"),
  s: () => press("keep"),
  r: () => press("reject"),
  u: takeBack,
  x: () => press("trash"),
};

export function startShortcuts(write) {
  readChoice();
  byId("single-keys").checked = single_keys;
  byId("single-keys").addEventListener("change", keepChoice);
  document.addEventListener("keydown", (event) => {
    if (dialogOpen() || event.defaultPrevented || event.isComposing) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && inWrite()) {
      event.preventDefault();
      write();
    } else if (event.key === "Escape") {
      if (stopAll()) event.preventDefault();
    } else if (single_keys && !typing(event.target) && !event.ctrlKey && !event.metaKey && !event.altKey && Object.hasOwn(SINGLE, event.key)) {
      event.preventDefault();
      SINGLE[event.key]();
    }
  });
}
