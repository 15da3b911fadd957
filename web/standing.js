// Where a draft stands between its first word and its post: as one word, and as a sentence with what to do.

// "draft", "approved", "sending", "refused", "rejected" or "posted".
export function standingOf(draft) {
  const state = draft.post?.state;
  return state && state !== "approved" ? state : draft.status;
}

const WORDS = { draft: "new", sending: "being posted" };
export const standingInWord = (draft) => WORDS[standingOf(draft)] ?? standingOf(draft);

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const full = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });
const day = new Intl.DateTimeFormat("en", { dateStyle: "medium" });
const clock = new Intl.DateTimeFormat("en", { timeStyle: "short" });
const STEPS = [["day", 86400], ["hour", 3600], ["minute", 60]];

export const fullTime = (when) => full.format(new Date(when));

const isOld = (date) => Date.now() - date.getTime() > 7 * 86400 * 1000;

// "3 minutes ago", or the day.
export function age(when) {
  const date = new Date(when);
  if (isOld(date)) return day.format(date);
  const seconds = (date.getTime() - Date.now()) / 1000;
  for (const [unit, length] of STEPS) if (-seconds >= length) return relative.format(Math.round(seconds / length), unit);
  return "just now";
}

const ago = (when) => (isOld(new Date(when)) ? `on ${age(when)}` : age(when));

// " at 2:05 PM", " on Nov 30, 2025, 2:05 PM", or " soon".
function later(when) {
  const date = new Date(when ?? 0);
  const hours = (date.getTime() - Date.now()) / 3600000;
  if (hours < 1 / 60) return " soon";
  return hours < 20 ? ` at ${clock.format(date)}` : ` on ${full.format(date)}`;
}

// A problem within a sentence of ours: on one line, without a full stop of its own, nor the address of the request.
function quoted(problem) {
  const words = problem.trim().replace(/^https?:\/\/\S+: /, "").replace(/\s*\n\s*/g, "; ").replace(/[.;\s]+$/, "");
  return words.startsWith("answers ") ? `the server ${words}` : words;
}

function ofPost(post, approved_at) {
  const problem = post?.problem ? quoted(post.problem) : "";
  switch (post?.state) {
    case "posted":
      return `Posted ${ago(post.posted_at)}.`;
    case "refused":
      return `Not posted, and not tried again: ${problem || "the server refused it"}. Change its text and approve it anew, or take it back.`;
    case "sending":
      return problem === ""
        ? "It is on its way. Until the server has answered it cannot be changed."
        : `Whether it was posted is not known: ${problem}. The server is asked again${later(post.again_at)}.`;
    default:
      return problem === ""
        ? `Approved ${ago(approved_at)}. The bot posts it when its time comes.`
        : `Not posted yet: ${problem}. It is tried again${later(post.again_at)}.`;
  }
}

// "" where there is nothing to say that the status does not.
export function standingInWords(draft) {
  const { post, decision } = draft;
  const reason = decision?.reason ?? "";
  const decided = (what) => decision?.decision === what && decision.at !== null;
  switch (draft.status) {
    case "approved":
      return ofPost(post, decided("approved") ? decision.at : post?.approved_at ?? draft.updated_at);
    case "posted":
      if (post) return ofPost(post);
      return decided("posted") ? `Marked as posted ${ago(decision.at)}.` : "";
    case "rejected":
      if (decided("handed over")) return `Sent to Bluesky's own drafts ${ago(decision.at)}.`;
      if (decided("handing over")) return "Whether it reached Bluesky's own drafts is not known. Send it again to find out.";
      if (!decided("rejected")) return "";
      return reason === "" ? `Rejected ${ago(decision.at)}.` : `Rejected ${ago(decision.at)}: ${reason}`;
    default:
      return decided("withdrawn") && reason !== "" ? `Its approval ended ${ago(decision.at)}: ${reason}.` : "";
  }
}

// Whether the change that a draft has just gone through ended its approval.
export function approvalEnded(draft) {
  const { status, decision } = draft;
  if (status !== "draft" || decision?.decision !== "withdrawn" || decision.reason === null) return false;
  return Date.parse(draft.updated_at) - Date.parse(decision.at) < 1000;
}
