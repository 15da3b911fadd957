// One request for posts, from the first event to the last, told to the posts that it writes.
import { ApiError, streamPosts } from "./api.js";

// Reasons that do not read well after "was".
const REASONS = { duplicate: "a duplicate of another", cancelled: "stopped" };
const ORDINALS = ["First", "Second", "Third", "Fourth", "Fifth", "Sixth"];

function restart(post, note) {
  post.text = "";
  post.state = "waiting";
  post.note = note;
}

function takeProgress(posts, event) {
  const waiting = event.phase === "queued"
    ? "waiting for its turn"
    : event.total > 0 ? `reading the prompt, ${event.done} of ${event.total}` : "reading the prompt";
  for (const post of posts) if (post.state === "waiting" && post.attempt === 0) post.note = waiting;
}

function takeText(post, event) {
  if (event.attempt !== post.attempt) restart(post, "");
  post.attempt = event.attempt;
  if (post.text === "") post.note = post.attempt > 0 ? post.note || "trying again" : "writing";
  post.state = "writing";
  post.text = (post.text + event.text).replace(/^\s+/, "");
}

function takeRejected(post, event) {
  const reason = REASONS[event.reason] ?? event.reason;
  post.rejected.push({ attempt: event.attempt, reason, text: event.text ?? "" });
  const which = ORDINALS[event.attempt] ?? `No. ${event.attempt + 1}`;
  restart(post, `${which} try was ${reason}; trying again`);
  post.attempt = event.attempt + 1;
}

function takePost(post, event) {
  const { text, index, ...detail } = event.post;
  Object.assign(post, { text, detail, state: "settled", attempt: Math.max(0, (detail.tries ?? 1) - 1) });
  post.note = detail.tries > 1 ? `good on try ${detail.tries}` : "";
}

// hooks: changed(post), settled(post). Resolves when the server said that it is done; throws otherwise.
export async function writePosts(request, posts, signal, hooks) {
  for await (const event of streamPosts(request, signal)) {
    const post = posts[event.index ?? event.post?.index];
    if (event.type === "start") {
      for (const one of posts) if (Number.isFinite(event.char_limit)) one.limit = event.char_limit;
      continue;
    }
    if (event.type === "progress") {
      takeProgress(posts, event);
      posts.forEach(hooks.changed);
      continue;
    }
    if (event.type === "done") break;
    if (post === undefined) continue;
    // A later try may still replace a post; what belongs to the settled one comes too late.
    if (post.state === "settled" && event.type === "text" && event.attempt <= post.attempt) continue;
    if (event.type === "text") takeText(post, event);
    else if (event.type === "rejected") takeRejected(post, event);
    else if (event.type === "post") takePost(post, event);
    hooks.changed(post);
    if (event.type === "post") hooks.settled(post);
  }
  for (const post of posts) {
    if (post.state === "settled") continue;
    Object.assign(post, { state: "failed", text: "", note: "no post" });
    hooks.changed(post);
  }
}

// What becomes of posts that a run left unfinished: their text stays where there is any.
export function breakOff(posts, error) {
  const left = posts.filter((post) => post.state !== "settled" && post.state !== "failed");
  const by_hand = !(error instanceof ApiError);
  for (const post of left) Object.assign(post, {
    state: by_hand ? "stopped" : "broken",
    text: post.text.trim(),
    note: by_hand ? "stopped" : "broken off",
  });
  return left;
}
