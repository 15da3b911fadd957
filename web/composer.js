// The form: what to write about and how, remembered as it is typed, with errors beside their control.
import { byId, debounce, element, plural } from "./dom.js";
import { recall, remember } from "./store.js";

const NUMBERS = ["count", "max_tokens", "temperature", "top_p"];
const SLIDERS = ["temperature", "top_p", "max_tokens"];
const FIELDS = ["prompt", ...NUMBERS, "seed"];
const MOST_SEED = Number.MAX_SAFE_INTEGER;
let settings = { count: 3, max_tokens: 100, temperature: 0.7, top_p: 0.9, char_limit: 300, adapters: [], suggestions: [] };
let adapters = [];
let adapters_known = false;
let submit = () => {};

const round = (number) => String(Math.round(number * 1e6) / 1e6);
const numberOf = (name) => (byId(name).value.trim() === "" ? null : Number(byId(name).value));

export function startComposer(on_submit) {
  submit = on_submit;
  const kept = recall("composer", {});
  for (const name of FIELDS) if (kept[name] !== undefined) byId(name).value = kept[name];
  byId("tuning").open = kept.tuning_open === true;
  byId("composer").addEventListener("input", onInput);
  byId("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  byId("tuning").addEventListener("toggle", save);
  byId("count-less").addEventListener("click", () => stepCount(-1));
  byId("count-more").addEventListener("click", () => stepCount(1));
  byId("defaults").addEventListener("click", useDefaults);
  for (const name of SLIDERS) {
    byId(`${name}-slider`).addEventListener("input", (event) => {
      byId(name).value = event.target.value;
      byId(name).dispatchEvent(new Event("input", { bubbles: true }));
    });
  }
  refresh();
}

function onInput(event) {
  const name = event.target.name;
  if (name) clearError(name);
  if (event.target.closest("#voices")) clearError("adapters");
  refresh();
  save();
}

const save = debounce(() => remember("composer", snapshot()), 60);
window.addEventListener("pagehide", () => remember("composer", snapshot()));

function snapshot() {
  const made = { tuning_open: byId("tuning").open, voices: recall("composer", {}).voices };
  for (const name of FIELDS) made[name] = byId(name).value;
  if (adapters.length > 0) made.voices = chosenVoices(true);
  return made;
}

function stepCount(step) {
  const now = numberOf("count") ?? settings.count;
  byId("count").value = String(Math.max(1, Math.min(10, Math.round(now) + step)));
  byId("count").dispatchEvent(new Event("input", { bubbles: true }));
}

function refresh() {
  const count = numberOf("count") ?? settings.count;
  byId("count-less").disabled = count <= 1;
  byId("count-more").disabled = count >= 10;
  byId("generate").querySelector(".label").textContent = `Write ${plural(count, "post")}`;
  for (const name of SLIDERS) byId(`${name}-slider`).value = byId(name).value || settings[name];
  byId("tuning-summary").textContent =
    `${byId("temperature").value || settings.temperature} · ${byId("top_p").value || settings.top_p} · ${byId("max_tokens").value || settings.max_tokens}`;
  for (const chip of byId("suggestions").children) chip.setAttribute("aria-pressed", String(chip.textContent === byId("prompt").value));
  refreshVoiceNote();
}

function useDefaults() {
  for (const name of ["max_tokens", "temperature", "top_p"]) byId(name).value = round(settings[name]);
  byId("seed").value = "";
  for (const name of FIELDS) clearError(name);
  refresh();
  save();
}

// Called whenever the server's settings and adapters were read; what was typed or chosen stays.
export function showSettings(given, list) {
  settings = { ...settings, ...given };
  const kept = recall("composer", {});
  for (const name of NUMBERS) if (!kept[name]) byId(name).value = round(settings[name]);
  byId("prompt").placeholder = settings.suggestions[0] ?? "write about coffee";
  byId("empty-limit").textContent = String(settings.char_limit > 0 ? settings.char_limit : 300);
  byId("suggestions").replaceChildren(...settings.suggestions.slice(0, 6).map((text) =>
    element("button", { type: "button", class: "chip", text, "aria-pressed": "false", on: { click: () => suggest(text) } })));
  adapters = list;
  adapters_known = true;
  showVoices(kept.voices);
  refresh();
}

function suggest(text) {
  const prompt = byId("prompt");
  prompt.value = text;
  prompt.dispatchEvent(new Event("input", { bubbles: true }));
  prompt.focus({ preventScroll: true });
}

function showVoices(kept) {
  byId("voice-list").replaceChildren(...adapters.map((adapter, index) => {
    const before = kept?.find((voice) => voice.name === adapter.name);
    const on = before ? before.on : settings.adapters.includes(adapter.name);
    const check = element("input", { type: "checkbox", id: `voice-${index}`, "data-voice": adapter.name });
    check.checked = on;
    const scale = element("input", {
      type: "number", inputmode: "decimal", step: "any", id: `scale-${index}`, class: "exact", placeholder: round(adapter.scale),
      "data-scale": adapter.name, "aria-describedby": "adapters-error",
    });
    scale.value = before?.scale ?? "";
    const label = element("label", { class: "check", for: check.id }, check,
      element("span", { class: "voice-name", text: adapter.name }));
    return element("div", { class: "voice" }, label,
      element("label", { class: "scale", for: scale.id }, element("span", { text: "Scale" }),
        element("span", { class: "visually-hidden", text: ` of ${adapter.name}` })), scale);
  }));
}

function chosenVoices(all = false) {
  return adapters.map((adapter, index) => ({
    name: adapter.name, on: byId(`voice-${index}`).checked, scale: byId(`scale-${index}`).value,
  })).filter((voice) => all || voice.on);
}

function refreshVoiceNote() {
  if (!adapters_known) return;
  const chosen = chosenVoices();
  for (const [index, adapter] of adapters.entries()) {
    byId(`scale-${index}`).disabled = !chosen.some((voice) => voice.name === adapter.name);
  }
  byId("voice-note").textContent = adapters.length === 0
    ? "No voice is loaded, so the model writes as it is. Start the server with --adapter FOLDER to give it yours."
    : chosen.length === 0 ? "None chosen: the model writes as it is."
      : chosen.length === 1 ? "A higher scale makes the voice stronger." : "Their effects are added up.";
}

export const voiceInWords = () => {
  const chosen = chosenVoices();
  return chosen.length === 0 ? "no voice, the model as it is" : chosen.map((voice) =>
    (voice.scale === "" ? voice.name : `${voice.name} at ${voice.scale}`)).join(" + ");
};
export const charLimit = () => settings.char_limit;

// The request that the form describes, or null after an error was shown beside its control.
export function readRequest() {
  const request = { prompt: byId("prompt").value.trim(), count: settings.count };
  if (request.prompt === "") delete request.prompt;
  for (const name of NUMBERS) {
    if (byId(name).validity.badInput || Number.isNaN(numberOf(name))) return showError(name, "Write a number, such as " + round(settings[name]) + ".");
    if (numberOf(name) !== null) request[name] = numberOf(name);
  }
  if (!Number.isInteger(request.count) || request.count < 1 || request.count > 10) {
    return showError("count", "Between 1 and 10 posts at a time.");
  }
  const seed = byId("seed").value.trim();
  if (seed !== "") {
    if (!/^\d+$/.test(seed) || Number(seed) > MOST_SEED) return showError("seed", `A whole number from 0 to ${MOST_SEED}, or nothing.`);
    request.seed = Number(seed);
  }
  if (adapters.length > 0) {
    request.adapters = chosenVoices().map(({ name, scale }) => (scale === "" ? { name } : { name, scale: Number(scale) }));
  }
  return request;
}

export function clearErrors() {
  for (const name of [...FIELDS, "adapters"]) clearError(name);
  byId("composer-error").hidden = true;
}

function clearError(name) {
  const place = byId(`${name}-error`);
  if (!place) return;
  place.hidden = true;
  const control = name === "adapters" ? byId("voices") : byId(name);
  control.removeAttribute("aria-invalid");
}

// param may be a path such as adapters[0].scale; the control is found by its first word.
export function showError(param, message) {
  const name = String(param).split(/[.[]/)[0];
  const place = byId(`${name}-error`);
  if (!place) {
    const general = byId("composer-error");
    general.textContent = message;
    general.hidden = false;
    return null;
  }
  place.textContent = message;
  place.hidden = false;
  if (place.closest("#tuning")) byId("tuning").open = true;
  const control = name === "adapters" ? byId("voices").querySelector("input") : byId(name);
  (name === "adapters" ? byId("voices") : control).setAttribute("aria-invalid", "true");
  control?.focus();
  place.scrollIntoView({ block: "nearest" });
  return null;
}
