// The posts of this visit, newest request first: writing them, writing one anew, keeping, deleting.
import { ApiError, call, inWords, isAbort } from "./api.js";
import { PostCard, isBusy } from "./card.js";
import { byId, element, plural, scrollTo } from "./dom.js";
import { announce, notice } from "./notices.js";
import { breakOff, writePosts } from "./run.js";
import { approvalEnded } from "./standing.js";
import { recall, remember } from "./store.js";

const MOST_KEPT = 60;
const batches = [];
const cards = new Map();
const running = new Set();
const dirty = new Set();
const reserved = new Set();
let hooks = {};
let frame = 0;
let last_touch = 0;
let saving = 0;
let next_id = recall("next-post", 1);

// hooks: runningChanged(bool), fieldError(error) -> bool, draftsChanged(), openDrafts(), retry(request)
export function startPosts(given) {
  hooks = given;
  for (const batch of recall("posts", [])) {
    batches.push(batch);
    showBatch(batch, "append");
  }
  byId("posts-clear").addEventListener("click", clearAll);
  byId("posts").addEventListener("pointerleave", () => giveBackRoom());
  byId("posts").addEventListener("pointerdown", () => {
    last_touch = Date.now();
  });
  window.addEventListener("pagehide", saveNow);
  // A phone may drop a page that it has hidden, and not say so.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) saveNow();
  });
  refreshHead();
}

function saveNow() {
  clearTimeout(saving);
  saving = 0;
  const kept = [];
  let room = MOST_KEPT;
  for (const batch of batches) {
    const posts = batch.posts.filter((post) => !post.deleted && (post.text !== "" || post.state === "failed")).slice(0, room);
    room -= posts.length;
    if (posts.length > 0) kept.push({ ...batch, posts: posts.map((post) => ({ ...post, previous: null, ...settledCopy(post) })) });
  }
  remember("posts", kept);
}

// Not put off by what comes after: posts being written change with every token.
function save() {
  if (saving === 0) saving = setTimeout(saveNow, 200);
}

// A post that a reload finds half written is one that broke off.
const settledCopy = (post) => (isBusy(post) ? { state: "broken", note: "broken off" } : {});

function newPost(index, request, limit, voice) {
  const id = `p${next_id++}`;
  remember("next-post", next_id);
  return {
    id, index, request, voice, limit, text: "", state: "waiting", note: "waiting", attempt: 0, rejected: [],
    detail: null, draftId: null, deleted: false, previous: null,
  };
}

const handlers = {
  again: (post) => writeAgain(post),
  keep,
  saveDraft,
  remove,
  changed: () => save(),
  openDrafts: () => hooks.openDrafts(),
};

function showBatch(batch, where) {
  const title = element("h3", { class: "batch-title", text: batch.request.prompt || "A post in your style", dir: "auto" });
  const note = element("p", { class: "batch-note", text: batch.voice });
  const list = element("ol", { class: "cards" });
  for (const post of batch.posts) {
    const card = new PostCard(post, handlers);
    cards.set(post.id, card);
    list.append(element("li", {}, card.element));
  }
  const made = element("section", { class: "batch", "aria-label": `Posts about: ${title.textContent}`, "data-batch": batch.id },
    element("header", { class: "batch-head" }, title, note), list);
  byId("posts")[where](made);
  return made;
}

const batchElement = (batch) => byId("posts").querySelector(`[data-batch="${batch.id}"]`);

// Room for the text to come, so that nothing below a card moves while it is written.
function reserve(section, request, limit) {
  const text = section.querySelector(".card-text");
  const style = getComputedStyle(text);
  const width = text.parentElement.clientWidth || 320;
  const a_line = Math.max(12, Math.floor(width / (Number.parseFloat(style.fontSize) * 0.5)));
  const tokens = request.max_tokens ?? 100;
  const characters = Math.min(limit > 0 ? limit : 600, tokens * 4.4);
  section.classList.remove("giving-back");
  section.style.setProperty("--reserve", String(Math.min(16, Math.ceil(characters / a_line))));
  reserved.add(section);
}

// Short posts need less: the room goes back when all is written and nobody is about to press something.
function giveBackRoom(whatever = false) {
  const posts = byId("posts");
  const in_use = running.size > 0 || posts.matches(":hover") || posts.contains(document.activeElement) || Date.now() - last_touch < 2500;
  if (in_use && !whatever) return;
  for (const section of reserved) {
    section.classList.add("giving-back");
    section.style.removeProperty("--reserve");
  }
  reserved.clear();
}

// What changes with every token is painted once a frame.
function changed(post) {
  dirty.add(post);
  if (frame === 0) frame = requestAnimationFrame(paint);
}

function paint() {
  cancelAnimationFrame(frame);
  frame = 0;
  for (const post of dirty) cards.get(post.id)?.render();
  dirty.clear();
  save();
}

function refreshHead() {
  let shown = 0;
  for (const batch of batches) {
    const left = batch.posts.filter((post) => !post.deleted).length;
    batchElement(batch).hidden = left === 0;
    shown += left;
  }
  byId("posts-empty").hidden = shown > 0;
  byId("posts-head").hidden = shown === 0;
}

async function track(posts, request, when_settled) {
  const controller = new AbortController();
  running.add(controller);
  hooks.runningChanged(true);
  byId("posts").setAttribute("aria-busy", "true");
  try {
    await writePosts(request, posts, controller.signal, { changed, settled: when_settled });
    return null;
  } catch (error) {
    if (!isAbort(error) && !(error instanceof ApiError)) console.error(error);
    return error;
  } finally {
    running.delete(controller);
    if (running.size === 0) byId("posts").setAttribute("aria-busy", "false");
    hooks.runningChanged(running.size > 0);
    paint();
    giveBackRoom();
  }
}

export function stopAll() {
  if (running.size === 0) return false;
  for (const controller of running) controller.abort();
  announce("Stopped.");
  return true;
}

// request: what goes to the server; look: {voice, limit} for the cards until the server says more.
export async function generate(request, look) {
  const { seed, ...base } = request;
  const count = request.count;
  const batch = {
    id: `b${next_id}`, request: base, voice: look.voice,
    posts: Array.from({ length: count }, (_, index) => newPost(index, base, look.limit, look.voice)),
  };
  batches.unshift(batch);
  const section = showBatch(batch, "prepend");
  refreshHead();
  if (running.size === 0) giveBackRoom(true);
  reserve(section, request, look.limit);
  scrollTo(byId("posts-head"));
  announce(`Writing ${plural(count, "post")}.`);
  let finished = 0;
  const error = await track(batch.posts, request, (post) => {
    finished += 1;
    announce(`Post ${post.index + 1} finished, ${finished} of ${count}: ${post.text}`);
  });
  if (error === null) {
    if (finished < count) announce(`${plural(count - finished, "post")} could not be written.`);
    return;
  }
  settle(batch.posts, error, () => retryLeft(batch), () => hooks.retry(request));
}

// The end of a run that did not go well: unfinished cards keep their text, empty ones go.
function settle(posts, error, retry_left, retry_all) {
  const left = breakOff(posts, error);
  const nothing_came = posts.every((post) => post.text === "" && post.state !== "failed");
  for (const post of left) {
    if (post.text === "" && (isAbort(error) || nothing_came)) post.deleted = true;
    changed(post);
    hideDeleted(post);
  }
  refreshHead();
  if (isAbort(error)) return;
  if (hooks.fieldError(error)) return;
  tellProblem(error, nothing_came ? retry_all : retry_left);
}

function tellProblem(error, retry) {
  if (error.kind === "busy") return waitAndOffer(error, retry);
  const kept = error.kind === "broken" ? " What came is kept." : "";
  notice(error.kind === "broken" ? `${error.message}${kept}` : inWords(error), {
    tone: "problem", stay_ms: 0, action: { label: "Try again", run: retry },
  });
}

// The server said how long to wait: the offer to try again comes when it may.
function waitAndOffer(error, retry) {
  const until = Date.now() + Math.max(1, error.retryAfter) * 1000;
  const shown = notice(inWords(error), { tone: "problem", stay_ms: 0 });
  setTimeout(() => {
    shown.close();
    notice("The server may have room again.", { tone: "problem", stay_ms: 0, action: { label: "Try again", run: retry } });
  }, until - Date.now());
}

function retryLeft(batch) {
  for (const post of batch.posts) {
    if (!post.deleted && post.state === "broken") writeAgain(post);
  }
}

const newSeed = () => Math.floor(Math.random() * 2 ** 32);
const RESTORED = ["text", "state", "note", "detail", "rejected", "draftId", "attempt"];

// One card anew, with a seed of its own; the others stay. The old text comes back if this fails.
async function writeAgain(post) {
  const card = cards.get(post.id);
  card.dropEdit();
  const had_text = post.text !== "" && post.state !== "broken";
  const previous = Object.fromEntries(RESTORED.map((name) => [name, post[name]]));
  const request = { ...post.request, count: 1, seed: newSeed() };
  Object.assign(post, { text: "", state: "waiting", note: "waiting", detail: null, rejected: [], draftId: null, attempt: 0 });
  reserve(card.element, request, post.limit);
  card.render();
  card.element.focus({ preventScroll: true });
  const error = await track([post], request, () => announce(`Post ${post.index + 1} finished: ${post.text}`));
  const restore = () => {
    Object.assign(post, previous);
    changed(post);
  };
  if (error !== null) {
    restore();
    if (isAbort(error) || hooks.fieldError(error)) return;
    tellProblem(error, () => writeAgain(post));
  } else if (had_text) {
    notice(`Post ${post.index + 1} was written anew.`, { action: { label: "Bring back the old one", run: restore } });
  }
}

async function keep(post) {
  const card = cards.get(post.id);
  if (card.keep.disabled) return;
  card.keep.disabled = true;
  try {
    const draft = await call("POST", "/v1/drafts", {
      text: post.text,
      prompt: post.request.prompt ?? "",
      adapter: (post.request.adapters ?? []).map((adapter) => adapter.name).join(", "),
      seed: post.detail?.seed ?? null,
    });
    post.draftId = draft.id;
    changed(post);
    hooks.draftsChanged();
    announce(`Post ${post.index + 1} is kept among the drafts.`);
  } catch (error) {
    notice(`Not kept. ${inWords(error)}`, { tone: "problem", action: { label: "Try again", run: () => keep(post) } });
  } finally {
    card.keep.disabled = false;
  }
}

async function saveDraft(post, text) {
  const draft = await call("PATCH", `/v1/drafts/${post.draftId}`, { text });
  hooks.draftsChanged();
  if (approvalEnded(draft)) notice(`Draft ${draft.id} is a new one again: nobody approved the changed text.`);
}

function hideDeleted(post) {
  cards.get(post.id).element.parentElement.hidden = post.deleted;
}

function setDeleted(posts, deleted) {
  for (const post of posts) {
    post.deleted = deleted;
    hideDeleted(post);
  }
  refreshHead();
  save();
}

function focusNear(post) {
  const shown = shownCards();
  const all = batches.flatMap((batch) => batch.posts);
  const next = all.slice(all.indexOf(post)).find((one) => !one.deleted) ?? all.filter((one) => !one.deleted).at(-1);
  if (next && shown.length > 0) cards.get(next.id).element.focus({ preventScroll: true });
  else byId("prompt").focus({ preventScroll: true });
}

function remove(post) {
  setDeleted([post], true);
  focusNear(post);
  notice(`Post ${post.index + 1} is deleted.`, {
    action: { label: "Undo", run: () => { setDeleted([post], false); cards.get(post.id).element.focus(); } },
  });
}

function clearAll() {
  stopAll();
  const posts = batches.flatMap((batch) => batch.posts).filter((post) => !post.deleted);
  setDeleted(posts, true);
  byId("prompt").focus({ preventScroll: true });
  notice(`${plural(posts.length, "post")} cleared.`, { action: { label: "Undo", run: () => setDeleted(posts, false) } });
}

// The cards on the page in order, for the shortcuts.
export function shownCards() {
  return batches.flatMap((batch) => batch.posts).filter((post) => !post.deleted).map((post) => cards.get(post.id));
}
