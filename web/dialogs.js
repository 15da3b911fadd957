// The dialogs: help, the key, and why a draft is rejected. A modal <dialog> keeps the focus inside and gives it back.
import { byId, element } from "./dom.js";

export const dialogOpen = () => document.querySelector("dialog[open]") !== null;

// A click on the backdrop closes, as Escape does.
function closeOnBackdrop(dialog) {
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
}

// Firefox and Chromium let Tab leave a modal dialog for the browser's own bars; here it goes round.
function goRound(dialog) {
  dialog.addEventListener("keydown", (event) => {
    if (event.key !== "Tab") return;
    const stops = [...dialog.querySelectorAll("button, input, a[href]")].filter((one) => !one.disabled && one.offsetParent !== null);
    const edge = event.shiftKey ? stops[0] : stops.at(-1);
    if (document.activeElement !== edge) return;
    event.preventDefault();
    (event.shiftKey ? stops.at(-1) : stops[0]).focus();
  });
}

export function startHelp(shortcuts) {
  const dialog = byId("help");
  closeOnBackdrop(dialog);
  goRound(dialog);
  byId("help-open").addEventListener("click", () => dialog.showModal());
  byId("shortcut-list").append(...shortcuts.map(({ keys, words }) => element("div", {},
    element("dt", {}, ...keys.map((key) => element("kbd", { text: key }))), element("dd", { text: words }))));
}

export const openHelp = () => byId("help").showModal();

// Resolves to what was typed, or to null. wrong: a key was sent and refused.
export function askForKey(wrong) {
  const dialog = byId("key-dialog");
  const form = dialog.querySelector("form");
  const input = byId("key-input");
  const problem = byId("key-error");
  problem.hidden = !wrong;
  problem.textContent = wrong ? "The server does not know this key. Check it and type it again." : "";
  input.value = "";
  return new Promise((resolve) => {
    const finish = (key) => {
      form.onsubmit = null;
      dialog.onclose = null;
      byId("key-cancel").onclick = null;
      if (dialog.open) dialog.close();
      resolve(key);
    };
    form.onsubmit = (event) => {
      event.preventDefault();
      const key = input.value.trim();
      if (key === "") {
        problem.textContent = "Type the key, or press Not now.";
        problem.hidden = false;
      } else if (!/^[\x21-\x7e]+$/.test(key)) {
        problem.textContent = "A key holds plain letters, digits and signs, no spaces.";
        problem.hidden = false;
      } else {
        finish(key);
      }
    };
    dialog.onclose = () => finish(null);
    byId("key-cancel").onclick = () => finish(null);
    if (!dialog.dataset.round) goRound(dialog);
    dialog.dataset.round = "yes";
    if (!dialog.open) dialog.showModal();
    input.focus();
  });
}

// Resolves to why a draft is rejected, which may be "", or to null where it is not.
export function askForReason(id, text) {
  const dialog = byId("reject-dialog");
  const form = dialog.querySelector("form");
  const input = byId("reject-reason");
  byId("reject-title").textContent = `Reject draft ${id}?`;
  byId("reject-text").textContent = text;
  input.value = "";
  return new Promise((resolve) => {
    let reason = null;
    form.onsubmit = (event) => {
      event.preventDefault();
      reason = input.value.trim();
      dialog.close();
    };
    byId("reject-cancel").onclick = () => dialog.close();
    dialog.onclose = () => resolve(reason);
    if (!dialog.dataset.round) goRound(dialog);
    dialog.dataset.round = "yes";
    dialog.showModal();
    input.focus();
  });
}
