// Puts the page together: views, colours, the form's button, and what one part tells another.
import { call, configure, inWords } from "./api.js";
import { charLimit, clearErrors, readRequest, showError, showSettings, startComposer, voiceInWords } from "./composer.js";
import { askForKey, startHelp } from "./dialogs.js";
import { byId, fillIcons } from "./dom.js";
import { refreshDraftCount, refreshDrafts, startDrafts } from "./drafts.js";
import { setIcon } from "./icons.js";
import { announce, notice } from "./notices.js";
import { generate, startPosts, stopAll } from "./posts.js";
import { COMMAND, SHORTCUTS, startShortcuts } from "./shortcuts.js";
import { isReady, startStatus, suspect, whyNot } from "./status.js";

let writing = false;

function refreshButtons() {
  byId("generate").hidden = writing;
  byId("stop").hidden = !writing;
  byId("generate").setAttribute("aria-disabled", String(!isReady()));
}

function runningChanged(now) {
  if (now === writing) return;
  const had_focus = [byId("generate"), byId("stop")].includes(document.activeElement);
  writing = now;
  refreshButtons();
  if (had_focus) byId(now ? "stop" : "generate").focus({ preventScroll: true });
}

function send(request) {
  if (writing) return;
  clearErrors();
  generate(request, { voice: voiceInWords(), limit: charLimit() });
}

function write() {
  if (writing) return;
  if (!isReady()) {
    announce(`Not yet: ${whyNot()}.`);
    return;
  }
  clearErrors();
  const request = readRequest();
  if (request !== null) send(request);
}

// An error about one of the form's fields goes beside its control.
function fieldError(error) {
  if (error.kind !== "field" && error.kind !== "refused") return false;
  if (byId("view-write").hidden) location.hash = "write";
  showError(error.param ?? "composer", error.message);
  announce(error.message);
  return true;
}

async function readServer() {
  try {
    const [settings, adapters] = await Promise.all([call("GET", "/v1/settings"), call("GET", "/v1/adapters")]);
    showSettings(settings, adapters.data);
    await refreshDraftCount();
    if (!byId("view-drafts").hidden) await refreshDrafts();
  } catch (error) {
    if (error.kind === "gone") return;
    notice(`The server’s settings could not be read. ${inWords(error)}`, {
      tone: "problem", stay_ms: 0, action: { label: "Try again", run: readServer },
    });
  }
}

function showView() {
  const drafts = location.hash === "#drafts";
  const changed = byId("view-write").hidden !== drafts;
  byId("view-write").hidden = drafts;
  byId("view-drafts").hidden = !drafts;
  for (const [id, here] of [["tab-write", !drafts], ["tab-drafts", drafts]]) {
    if (here) byId(id).setAttribute("aria-current", "page");
    else byId(id).removeAttribute("aria-current");
  }
  document.body.dataset.view = drafts ? "drafts" : "write";
  document.title = drafts ? "Drafts · Bobby Posts" : "Bobby Posts";
  if (changed) window.scrollTo(0, 0);
  if (drafts && isReady()) refreshDrafts();
}

function startTheme() {
  const button = byId("theme-toggle");
  const refresh = () => {
    const dark = window.bobbyTheme.current() === "dark";
    button.setAttribute("aria-pressed", String(dark));
    setIcon(button, dark ? "sun" : "moon");
    button.title = dark ? "Light colours" : "Dark colours";
  };
  button.addEventListener("click", () => window.bobbyTheme.choose(window.bobbyTheme.current() === "dark" ? "light" : "dark"));
  document.addEventListener("bobby:theme", refresh);
  refresh();
}

fillIcons();
startTheme();
startHelp(SHORTCUTS);
startShortcuts(write);
byId("generate").querySelector("kbd").textContent = `${COMMAND} ⏎`;
configure({ askForKey, onGone: suspect });
startComposer(write);
startPosts({
  runningChanged,
  fieldError,
  draftsChanged: refreshDraftCount,
  openDrafts: () => { location.hash = "drafts"; },
  retry: send,
});
startDrafts(charLimit);
byId("stop").addEventListener("click", stopAll);
window.addEventListener("hashchange", showView);
showView();
startStatus({ onReady: readServer, onChange: refreshButtons });
