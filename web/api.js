// Every word with the server: requests, their errors in words, the key, and posts as they are written.
import { readEvents } from "./sse.js";
import { recall, remember } from "./store.js";

// kind: gone (no answer), broken (an answer that broke off), key, busy, field, missing, conflict, refused, server.
export class ApiError extends Error {
  constructor(kind, message, more = {}) {
    super(message);
    this.kind = kind;
    this.status = more.status ?? 0;
    this.param = more.param ?? null;
    this.code = more.code ?? "";
    this.retryAfter = more.retryAfter ?? 0;
  }
}

let askForKey = async () => null;
let onGone = () => {};
let asking = null;

// ask(wrong): shows the dialog and resolves to a key, or to null if there will be none.
export function configure(hooks) {
  askForKey = hooks.askForKey;
  onGone = hooks.onGone;
}

export const isAbort = (error) => error?.name === "AbortError";

function headers(body) {
  const made = body === undefined ? {} : { "Content-Type": "application/json" };
  const key = recall("key", null);
  if (key) made.Authorization = `Bearer ${key}`;
  return made;
}

function kindOf(status, param) {
  if (status === 401) return "key";
  if (status === 429) return "busy";
  if (status === 404) return "missing";
  if (status === 409) return "conflict";
  if (status >= 500) return "server";
  return param ? "field" : "refused";
}

function errorOf(status, answer, retry_after) {
  const error = answer?.error ?? {};
  const param = typeof error.param === "string" ? error.param : null;
  const message = typeof error.message === "string" ? error.message : `The server answered with status ${status}.`;
  const seconds = Number.parseFloat(retry_after ?? "");
  return new ApiError(kindOf(status, param), message, {
    status,
    param,
    code: typeof error.code === "string" ? error.code : "",
    retryAfter: Number.isFinite(seconds) ? Math.max(0, seconds) : 0,
  });
}

async function send(method, path, body, options) {
  try {
    return await fetch(path, {
      method,
      headers: headers(body),
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: options.signal,
      keepalive: options.keepalive ?? false,
      cache: "no-store",
    });
  } catch (error) {
    if (isAbort(error)) throw error;
    onGone();
    throw new ApiError("gone", "The server does not answer.");
  }
}

// One dialog however many requests meet the 401 together.
function newKey(used) {
  const current = recall("key", null);
  if (current && current !== used) return Promise.resolve(current);
  asking ??= askForKey(used !== null).finally(() => {
    asking = null;
  });
  return asking;
}

async function respond(method, path, body, options = {}) {
  for (;;) {
    const used = recall("key", null);
    const response = await send(method, path, body, options);
    if (response.ok) return response;
    const answer = await response.json().catch(() => null);
    const error = errorOf(response.status, answer, response.headers.get("Retry-After"));
    if (error.kind !== "key" || options.keepalive || options.quiet) throw error;
    const key = await newKey(used);
    if (!key) throw error;
    remember("key", key);
  }
}

// options: signal; keepalive: it outlives the page; quiet: nobody is asked for a key.
export async function call(method, path, body, options) {
  const response = await respond(method, path, body, options);
  try {
    return await response.json();
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError("broken", "The server's answer broke off.");
  }
}

// /ready answers 503 with a body that says why; no answer at all is {status: "gone"}.
export async function readiness(signal) {
  try {
    const response = await fetch("/ready", { cache: "no-store", signal });
    const answer = await response.json();
    return typeof answer.status === "string" ? answer : { status: "gone" };
  } catch (error) {
    if (isAbort(error) && signal?.reason !== "slow") throw error;
    return { status: "gone" };
  }
}

// The events of one request for posts. It throws when the stream ends before the server said "done".
export async function* streamPosts(request, signal) {
  const response = await respond("POST", "/v1/posts", { ...request, stream: true }, { signal });
  let finished = false;
  try {
    for await (const data of readEvents(response.body)) {
      if (data === "[DONE]") break;
      const event = JSON.parse(data);
      if (event.type === "error") throw errorOf(500, event, null);
      if (event.type === "done") finished = true;
      yield event;
    }
  } catch (error) {
    if (isAbort(error) || error instanceof ApiError) throw error;
    finished = false;
  }
  if (!finished && !signal.aborted) {
    onGone();
    throw new ApiError("broken", "The connection broke off while writing.");
  }
}

// A sentence and what to do about it, for errors that belong to no single control.
export function inWords(error) {
  switch (error.kind) {
    case "gone":
      return "The server does not answer.";
    case "broken":
      return `${error.message} Try again.`;
    case "key":
      return "The server wants a key. Press the button again to type it.";
    case "busy":
      return `The server is busy with others. Try again in ${Math.max(1, Math.ceil(error.retryAfter))} s.`;
    case "conflict":
      return `${error.message.replace(/^draft (\d+): /, "Draft $1 ")}.`;
    case "server":
      return `The server could not do that: ${error.message}`;
    default:
      return error.message ?? "Something went wrong on this page. Reload it; what you typed is kept.";
  }
}
