// Whether the server can write: asked again and again, shown as progress, a banner, or one quiet line.
import { readiness } from "./api.js";
import { byId, element } from "./dom.js";
import { announce } from "./notices.js";
import { makeRing } from "./ring.js";

const BACKOFF_S = [1, 2, 4, 8, 15];
const PAUSE_MS = { loading: 400, ready: 10000, failed: 5000, draining: 2000 };
const PHASES = {
  weights: "Reading its weights",
  tokenizer: "Reading its vocabulary",
  adapter: "Attaching the voice",
  adapters: "Attaching the voice",
  prefill: "Warming up",
  warmup: "Warming up",
  prewarm: "Warming up",
};
const ring = makeRing("ring big");
const percent = element("span", { class: "percent" });
let state = { status: "unknown" };
let failures = 0;
let timer = 0;
let ticking = 0;
let asking = false;
let onReady = () => {};
let onChange = () => {};

export const isReady = () => state.status === "ready";
export const whyNot = () => byId("model-text").textContent;

export function startStatus(hooks) {
  onReady = hooks.onReady;
  onChange = hooks.onChange;
  byId("loading-ring").append(ring.element, percent);
  // What sticks below the header keeps clear of the banner too.
  const header = document.querySelector(".site");
  new ResizeObserver(() => document.documentElement.style.setProperty("--header", `${header.offsetHeight}px`)).observe(header);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") look();
  });
  look();
}

// Something met no answer: look now instead of at the next turn.
export function suspect() {
  if (state.status !== "gone") look();
}

async function look() {
  if (asking) return;
  asking = true;
  clearTimeout(timer);
  clearInterval(ticking);
  const slow = new AbortController();
  const too_long = setTimeout(() => slow.abort("slow"), 8000);
  const answer = await readiness(slow.signal).catch(() => ({ status: "gone" }));
  clearTimeout(too_long);
  asking = false;
  take(answer);
}

function take(answer) {
  const before = state.status;
  state = answer;
  failures = answer.status === "gone" ? failures + 1 : 0;
  const wait_s = BACKOFF_S[Math.min(failures, BACKOFF_S.length) - 1];
  const pause = answer.status === "gone" ? wait_s * 1000 : PAUSE_MS[answer.status] ?? 2000;
  timer = setTimeout(look, document.hidden && answer.status === "ready" ? 60000 : pause);
  showLine();
  showLoading();
  showBanner(wait_s);
  if (before !== answer.status) {
    if (answer.status === "ready") onReady();
    if (answer.status === "ready" && before !== "unknown") announce("The model is ready.");
    if (answer.status === "loading") announce("The model is loading.");
  }
  onChange();
}

function share() {
  return state.total > 0 ? Math.min(1, state.done / state.total) : null;
}

function showLine() {
  const device = typeof state.device === "string" ? state.device.split(/[:,]/)[0].trim() : "";
  const words = {
    unknown: "Looking for the model …",
    ready: `${state.model ?? "The model"} is ready${device ? ` on ${device}` : ""}`,
    loading: share() === null ? "The model is loading …" : `The model is loading, ${Math.round(share() * 100)} %`,
    failed: "The model could not be loaded",
    draining: "The server is shutting down",
    gone: "The server does not answer",
  };
  byId("model-line").dataset.state = state.status;
  byId("model-text").textContent = words[state.status] ?? `The server is ${state.status}`;
  byId("model-line").title = state.device ?? "";
}

function showLoading() {
  const panel = byId("loading");
  panel.hidden = !["loading", "failed"].includes(state.status);
  panel.dataset.state = state.status;
  byId("loading-ring").hidden = state.status === "failed";
  if (state.status === "failed") {
    byId("loading-title").textContent = "The model could not be loaded";
    byId("loading-text").textContent = state.error ?? "The server did not say why.";
    byId("loading-hint").textContent = "Put that right where “bobby serve” was started and start it again. This page keeps looking and goes on by itself.";
  } else if (state.status === "loading") {
    const known = share();
    byId("loading-title").textContent = "Waking the model";
    const phase = PHASES[state.phase] ?? (state.phase ? `Now: ${state.phase}` : "Starting");
    // Few steps say little as a count; the ring shows them.
    byId("loading-text").textContent = state.total > 3 ? `${phase}, ${state.done} of ${state.total}` : `${phase} …`;
    byId("loading-hint").textContent = "You can already type; what you write here is kept.";
    ring.set(known ?? 0.25);
    percent.textContent = known === null ? "" : `${Math.round(known * 100)}%`;
    const bar = byId("loading-ring");
    bar.dataset.known = String(known !== null);
    if (known === null) bar.removeAttribute("aria-valuenow");
    else bar.setAttribute("aria-valuenow", String(Math.round(known * 100)));
    bar.setAttribute("aria-valuetext", byId("loading-text").textContent);
  }
}

function showBanner(wait_s) {
  const banner = byId("banner");
  const needed = ["gone", "draining"].includes(state.status);
  if (!needed) {
    banner.hidden = true;
    return;
  }
  const words = element("p", {}, element("b", {
    text: state.status === "gone" ? "The server does not answer. " : "The server is shutting down. ",
  }));
  words.append(state.status === "gone"
    ? "Start “bobby serve” again if it was stopped; nothing on this page is lost. "
    : "It finishes what it is writing and takes nothing new. ");
  banner.replaceChildren(words);
  banner.hidden = false;
  if (state.status !== "gone") return;
  let left = wait_s;
  const clock = element("span", { class: "clock", "aria-hidden": "true", text: `Looking again in ${left} s` });
  ticking = setInterval(() => {
    left = Math.max(0, left - 1);
    clock.textContent = left > 0 ? `Looking again in ${left} s` : "Looking …";
  }, 1000);
  banner.append(clock, element("button", { type: "button", class: "secondary small", text: "Look now", on: { click: look } }));
}
