// The drafts that the server keeps: search, status, paging, editing, deleting with a way back.
import { call, inWords, isAbort } from "./api.js";
import { byId, debounce, element, plural } from "./dom.js";
import { DraftCard } from "./draft_card.js";
import { announce, notice } from "./notices.js";
import { recall, remember } from "./store.js";

const PAGE = 20;
const FILTERS = [["", "All"], ["draft", "New"], ["approved", "Approved"], ["rejected", "Rejected"], ["posted", "Posted"]];
const cards = new Map();
const leaving = new Map();
let limit = () => 300;
let last_id = null;
let total = 0;
let request = null;
let has_more = false;

export function startDrafts(char_limit) {
  limit = char_limit;
  const kept = recall("drafts", { query: "", status: "" });
  byId("draft-search").value = kept.query;
  byId("draft-search").addEventListener("input", debounce(refreshDrafts, 250));
  byId("draft-filter").append(...FILTERS.map(([status, label]) => element("button", {
    type: "button", text: label, "data-status": status, "aria-pressed": String(status === kept.status), on: { click: () => choose(status) },
  })));
  byId("drafts-more").addEventListener("click", () => load(false));
  window.addEventListener("pagehide", () => {
    for (const id of leaving.keys()) call("DELETE", `/v1/drafts/${id}`, undefined, { keepalive: true }).catch(() => {});
  });
}

const chosenStatus = () => byId("draft-filter").querySelector("[aria-pressed=true]")?.dataset.status ?? "";
const query = () => byId("draft-search").value.trim();

function choose(status) {
  for (const button of byId("draft-filter").children) button.setAttribute("aria-pressed", String(button.dataset.status === status));
  refreshDrafts();
}

export function refreshDrafts() {
  remember("drafts", { query: byId("draft-search").value, status: chosenStatus() });
  return load(true);
}

// The number beside the tab: all drafts, whatever the search says.
export async function refreshDraftCount() {
  try {
    const answer = await call("GET", "/v1/drafts?limit=1");
    showCount(Math.max(0, answer.total - leaving.size));
  } catch {
    // The tab does without its number; opening it says what is wrong.
  }
}

function showCount(count) {
  byId("draft-count").textContent = String(count);
  byId("draft-count").hidden = count === 0;
}

async function load(from_start) {
  request?.abort();
  request = new AbortController();
  const asked = request;
  const words = new URLSearchParams({ limit: String(PAGE) });
  if (query() !== "") words.set("query", query());
  if (chosenStatus() !== "") words.set("status", chosenStatus());
  if (!from_start && last_id !== null) words.set("before", String(last_id));
  byId("drafts-list").setAttribute("aria-busy", "true");
  byId("drafts-more").disabled = true;
  try {
    const answer = await call("GET", `/v1/drafts?${words}`, undefined, { signal: asked.signal });
    byId("drafts-problem").hidden = true;
    show(answer, from_start);
  } catch (error) {
    if (!isAbort(error)) showProblem(error);
  } finally {
    if (request === asked) byId("drafts-list").setAttribute("aria-busy", "false");
    byId("drafts-more").disabled = false;
  }
}

function showProblem(error) {
  byId("drafts-problem").replaceChildren(
    element("p", { text: `The drafts could not be read. ${inWords(error)}` }),
    element("button", { type: "button", class: "secondary", text: "Try again", on: { click: refreshDrafts } }));
  byId("drafts-problem").hidden = false;
  byId("drafts-empty").hidden = true;
}

function show(answer, from_start) {
  const list = byId("drafts-list");
  if (from_start) {
    cards.clear();
    list.replaceChildren();
  }
  const first_new = list.children.length;
  for (const draft of answer.data) {
    last_id = draft.id;
    if (leaving.has(draft.id)) continue;
    const card = new DraftCard(draft, limit(), handlers);
    cards.set(draft.id, card);
    list.append(element("li", {}, card.element));
    card.resume();
  }
  total = answer.total - leaving.size;
  has_more = answer.has_more;
  byId("drafts-more").hidden = !has_more;
  if (!from_start) list.children[first_new]?.firstElementChild.focus();
  refreshWords();
}

function refreshWords() {
  const shown = cards.size;
  const filtered = query() !== "" || chosenStatus() !== "";
  byId("drafts-total").textContent = shown === 0 ? "" : `${plural(total, "draft")}${filtered ? " found" : ""}, newest first`;
  if (!filtered) showCount(total);
  const empty = byId("drafts-empty");
  empty.hidden = shown > 0;
  if (shown > 0) return;
  empty.replaceChildren(...(filtered
    ? [element("h2", { text: "Nothing found" }),
      element("p", { text: "The search looks for words in a draft’s text and in its prompt. Try fewer words, or look among all." }),
      element("button", { type: "button", class: "secondary", text: "Show all drafts", on: { click: showAll } })]
    : [element("h2", { text: "No drafts yet" }),
      element("p", { text: "When a post sounds right, press Keep on its card. It then waits here to be edited, approved or rejected." }),
      element("a", { class: "button secondary", href: "#write", text: "Write some posts" })]));
}

function showAll() {
  byId("draft-search").value = "";
  choose("");
  byId("draft-search").focus();
}

async function patch(card, change, said) {
  Object.assign(card.draft, await call("PATCH", `/v1/drafts/${card.draft.id}`, change));
  card.render();
  announce(said);
}

const handlers = {
  save: (card, text) => patch(card, { text }, "Saved."),
  async status(card, status) {
    try {
      await patch(card, { status }, status === "draft" ? "Back among the new ones." : `Marked as ${status}.`);
    } catch (error) {
      notice(`Not changed. ${inWords(error)}`, { tone: "problem" });
    }
  },
  remove(card) {
    const { id } = card.draft;
    const item = card.element.parentElement;
    const next = item.nextElementSibling ?? item.previousElementSibling;
    item.remove();
    cards.delete(id);
    leaving.set(id, card);
    total -= 1;
    refreshWords();
    (next?.firstElementChild ?? byId("draft-search")).focus({ preventScroll: true });
    // Only deleted for good once there is no way back any more.
    notice("The draft is deleted.", {
      action: { label: "Undo", run: () => undo(id) },
      onClose: (acted) => { if (!acted) deleteForGood(id); },
    });
  },
};

async function undo(id) {
  leaving.delete(id);
  await load(true);
  cards.get(id)?.element.focus();
}

async function deleteForGood(id) {
  try {
    await call("DELETE", `/v1/drafts/${id}`);
  } catch (error) {
    if (error.kind !== "missing") notice(`The draft is still there. ${inWords(error)}`, { tone: "problem" });
  }
  leaving.delete(id);
}

export const shownDrafts = () => [...cards.values()];
