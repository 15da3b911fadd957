// The drafts that the server keeps: search, status, paging, what is decided about them, deleting with a way
// back, and what becomes of them elsewhere: the bot, another page, a command.
import { ApiError, call, inWords, isAbort } from "./api.js";
import { askForReason } from "./dialogs.js";
import { byId, debounce, element, plural, setText } from "./dom.js";
import { DraftCard } from "./draft_card.js";
import { announce, notice } from "./notices.js";
import { approvalEnded, standingInWords, standingOf } from "./standing.js";
import { recall, remember } from "./store.js";

const PAGE = 20;
const MOST = 200;  // the server's own limit of a page
const LOOK_MS = 4000;
const REFUSED = "refused";
const FILTERS = [["", "All"], [REFUSED, "Refused"], ["draft", "New"], ["approved", "Approved"], ["rejected", "Rejected"], ["posted", "Posted"]];
const cards = new Map();
const leaving = new Map();
let limit = () => 300;
let last_id = null;
let total = 0;
let request = null;
let has_more = false;
let acts = 0;
let looking = null;
let look_timer = 0;

export function startDrafts(char_limit) {
  limit = char_limit;
  const kept = recall("drafts", { query: "", status: "" });
  byId("draft-search").value = kept.query;
  byId("draft-search").addEventListener("input", debounce(refreshDrafts, 250));
  byId("draft-filter").append(...FILTERS.map(([status, label]) => element("button", {
    type: "button", text: label, "data-status": status, "aria-pressed": String(status === kept.status), on: { click: () => choose(status) },
  })));
  showRefused(0);
  byId("drafts-more").addEventListener("click", () => load(false));
  document.addEventListener("visibilitychange", lookAgain);
  look_timer = setTimeout(lookAgain, LOOK_MS);
  window.addEventListener("pagehide", () => {
    for (const id of leaving.keys()) call("DELETE", `/v1/drafts/${id}`, undefined, { keepalive: true }).catch(() => {});
  });
}

const chosenStatus = () => byId("draft-filter").querySelector("[aria-pressed=true]")?.dataset.status ?? "";
const query = () => byId("draft-search").value.trim();

function choose(status) {
  for (const button of byId("draft-filter").children) {
    const chosen = button.dataset.status === status;
    button.setAttribute("aria-pressed", String(chosen));
    // They may be wider than a phone.
    if (chosen) button.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
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

// What the list is asked for, beside where it begins.
function wordsOf(count) {
  const words = new URLSearchParams({ limit: String(count) });
  if (query() !== "") words.set("query", query());
  if (chosenStatus() !== "") words.set(chosenStatus() === REFUSED ? "post" : "status", chosenStatus());
  return words;
}

async function load(from_start) {
  request?.abort();
  request = new AbortController();
  const asked = request;
  const words = wordsOf(PAGE);
  if (!from_start && last_id !== null) words.set("before", String(last_id));
  byId("drafts-list").setAttribute("aria-busy", "true");
  byId("drafts-more").disabled = true;
  try {
    const answer = await call("GET", `/v1/drafts?${words}`, undefined, { signal: asked.signal });
    byId("drafts-problem").hidden = true;
    show(answer, from_start);
    if (from_start) lookForRefused().catch(() => {});
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
    addCard(draft, null);
  }
  total = answer.total - leaving.size;
  has_more = answer.has_more;
  byId("drafts-more").hidden = !has_more;
  if (!from_start) list.children[first_new]?.firstElementChild.focus();
  refreshWords();
}

// Before the card of an older draft, or at the end.
function addCard(draft, next) {
  const card = new DraftCard(draft, limit(), handlers);
  cards.set(draft.id, card);
  byId("drafts-list").insertBefore(element("li", {}, card.element), next?.element.parentElement ?? null);
  card.resume();
}

// The filter for what a person must look at is there when there is something.
function showRefused(count) {
  const button = byId("draft-filter").querySelector(`[data-status=${REFUSED}]`);
  button.hidden = count === 0 && chosenStatus() !== REFUSED;
  button.textContent = count === 0 ? "Refused" : `Refused ${count}`;
}

async function lookForRefused() {
  const answer = await call("GET", `/v1/drafts?post=${REFUSED}&limit=1`, undefined, { quiet: true });
  showRefused(answer.total);
}

const inView = () => !document.hidden && !byId("view-drafts").hidden;

// Every few seconds while someone can see it: what changed elsewhere changes here, and nothing else moves.
async function lookAgain() {
  clearTimeout(look_timer);
  try {
    if (inView()) await (looking ??= look().finally(() => { looking = null; }));
  } catch {
    // The banner says that there is no server, the list's own requests what else is wrong.
  } finally {
    clearTimeout(look_timer);
    look_timer = setTimeout(lookAgain, LOOK_MS);
  }
}

async function look() {
  const [asked, done] = [request, acts];
  const is_outdated = () => request !== asked || acts !== done || byId("drafts-list").getAttribute("aria-busy") === "true";
  if (asked === null || is_outdated() || !byId("drafts-problem").hidden) return;
  const answer = await call("GET", `/v1/drafts?${wordsOf(Math.min(MOST, Math.max(PAGE, cards.size)))}`, undefined, { quiet: true });
  const found = new Map(answer.data.map((draft) => [draft.id, draft]));
  // Those that the filter no longer finds stay where they are, as they are now.
  const others = [...cards.keys()].filter((id) => !found.has(id)).slice(0, MOST);
  if (others.length > 0) {
    const rest = await call("GET", `/v1/drafts?ids=${others.join(",")}&limit=${MOST}`, undefined, { quiet: true });
    for (const draft of rest.data) found.set(draft.id, draft);
  }
  if (is_outdated()) return;
  const before = standings();
  for (const card of shownDrafts()) {
    const { id } = card.draft;
    if (found.has(id)) follow(card, found.get(id));
    else if (others.includes(id) && card.editor === null) dropCard(card);
  }
  addNew(answer);
  total = answer.total - leaving.size;
  refreshWords();
  if (standings() !== before) await lookForRefused();
}

const standings = () => shownDrafts().map(({ draft }) => `${draft.id} ${standingOf(draft)}`).join();

// How a post ended is also told to those who do not see it.
function follow(card, draft) {
  const before = standingOf(card.draft);
  const now = standingOf(draft);
  card.take(draft);
  if (now !== before && ["posted", "refused"].includes(now)) announce(`Draft ${draft.id}: ${standingInWords(draft)}`);
}

function addNew(answer) {
  const shown = shownDrafts();
  for (const draft of answer.data) {
    if (cards.has(draft.id) || leaving.has(draft.id)) continue;
    // An older one than the last comes with the next page.
    if (has_more && last_id !== null && draft.id < last_id) continue;
    addCard(draft, shown.find((card) => card.draft.id < draft.id) ?? null);
  }
  last_id ??= answer.data.at(-1)?.id ?? null;
}

function dropCard(card) {
  const item = card.element.parentElement;
  const next = item.nextElementSibling ?? item.previousElementSibling;
  const had_focus = item.contains(document.activeElement);
  item.remove();
  cards.delete(card.draft.id);
  if (had_focus) (next?.firstElementChild ?? byId("draft-search")).focus({ preventScroll: true });
}

function refreshWords() {
  const shown = cards.size;
  const filtered = query() !== "" || chosenStatus() !== "";
  setText(byId("drafts-total"), shown === 0 ? "" : `${plural(total, "draft")}${filtered ? " found" : ""}, newest first`);
  if (!filtered) showCount(total);
  const empty = byId("drafts-empty");
  const says_it = !empty.hidden && empty.dataset.filtered === String(filtered);
  empty.hidden = shown > 0;
  empty.dataset.filtered = String(filtered);
  if (shown > 0 || says_it) return;
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

// Whoever looks meanwhile finds the state of before: it is not shown.
async function act(method, id, body) {
  acts += 1;
  try {
    return await call(method, `/v1/drafts/${id}`, body);
  } finally {
    acts += 1;
  }
}

async function patch(card, change) {
  const { id } = card.draft;
  try {
    const was_refused = standingOf(card.draft) === REFUSED;
    card.take(await act("PATCH", id, change));
    if (was_refused) lookForRefused().catch(() => {});
  } catch (error) {
    // It is not what the page shows any more.
    if (error.kind === "conflict") await call("GET", `/v1/drafts/${id}`).then((draft) => card.take(draft), () => {});
    if (error.kind !== "missing") throw error;
    if (card.editor === null) dropCard(card);
    throw new ApiError("missing", `Draft ${id} is not there any more.`);
  }
}

async function decide(card, change, said) {
  try {
    await patch(card, change);
    announce(said);
  } catch (error) {
    notice(`Not changed. ${inWords(error)}`, { tone: "problem" });
  }
}

const approve = (card) => decide(card, { status: "approved", seen_text: card.draft.text }, "Approved.");

async function save(card, text) {
  try {
    await patch(card, { text, seen_text: card.seen_text });
  } catch (error) {
    if (error.code !== "mismatch") throw error;
    card.seen_text = card.draft.text;
    throw new ApiError("conflict", `It was changed elsewhere to “${card.draft.text}”. Save again to put yours in its place`);
  }
  announce("Saved.");
  if (!approvalEnded(card.draft)) return;
  notice(`Draft ${card.draft.id} is a new one again: nobody approved the changed text.`, {
    action: { label: "Approve it", run: () => approve(card) },
  });
}

const handlers = {
  save,
  approve,
  async reject(card) {
    const reason = await askForReason(card.draft.id, card.draft.text);
    if (reason === null) return;
    await decide(card, { status: "rejected", ...(reason === "" ? {} : { reason }) }, "Rejected.");
  },
  takeBack: (card) => decide(card, { status: "draft" }, "Back among the new ones."),
  remove(card) {
    const { id } = card.draft;
    card.element.focus({ preventScroll: true });
    dropCard(card);
    leaving.set(id, card);
    total -= 1;
    refreshWords();
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
    await act("DELETE", id);
  } catch (error) {
    if (error.kind !== "missing") notice(`The draft is still there. ${inWords(error)}`, { tone: "problem" });
  }
  leaving.delete(id);
  lookForRefused().catch(() => {});
}

// As they stand on the page: one that came later may stand above.
export const shownDrafts = () => [...cards.values()].sort((one, other) => other.draft.id - one.draft.id);
