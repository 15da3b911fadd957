// Short messages at the foot of the page, some with one thing to do, and the screen reader's voice.
import { byId, element } from "./dom.js";

const STAY_MS = 8000;

export function announce(text) {
  const place = byId("announcer");
  // The same words twice are only read twice when the text changes in between.
  place.textContent = "";
  requestAnimationFrame(() => {
    place.textContent = text;
  });
}

// action: {label, run}; onClose(acted) is told once how it ended. The clock stands still under the
// pointer and while the notice holds the focus.
export function notice(text, { action = null, tone = "plain", stay_ms = STAY_MS, onClose = () => {} } = {}) {
  let timer = 0;
  let open = true;
  const close = (acted) => {
    if (!open) return;
    open = false;
    clearTimeout(timer);
    made.remove();
    onClose(acted);
  };
  const start = () => {
    clearTimeout(timer);
    if (stay_ms > 0) timer = setTimeout(() => close(false), stay_ms);
  };
  const made = element("div", {
    class: "notice",
    "data-tone": tone,
    on: { mouseenter: () => clearTimeout(timer), mouseleave: start, focusin: () => clearTimeout(timer), focusout: start },
  }, element("p", { text }));
  if (action) {
    made.append(element("button", {
      type: "button",
      class: "notice-action",
      text: action.label,
      on: { click: () => { close(true); action.run(); } },
    }));
  }
  made.append(element("button", {
    type: "button", class: "icon-button small", "aria-label": "Dismiss", icon: "close", on: { click: () => close(false) },
  }));
  const shelf = byId("notices");
  // A newer problem takes the place of an older one.
  if (tone === "problem") shelf.querySelector("[data-tone=problem] [aria-label=Dismiss]")?.click();
  shelf.append(made);
  while (shelf.children.length > 3) shelf.firstElementChild.querySelector("[aria-label=Dismiss]").click();
  announce(action ? `${text} ${action.label} is in the notices.` : text);
  start();
  return { close: () => close(false) };
}
