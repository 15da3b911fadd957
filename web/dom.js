// Building elements without a template language: text is only ever set as text.
import { icon } from "./icons.js";

export const byId = (id) => document.getElementById(id);

// element("button", {class: "primary", text: "Go", on: {click: go}, "aria-label": "Go on"}, child, ...)
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") made.textContent = value;
    else if (name === "on") for (const [type, run] of Object.entries(value)) made.addEventListener(type, run);
    else if (name === "icon") made.append(icon(value));
    else if (name === "class") made.className = value;
    else if (name === "hidden") made.hidden = true;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

// Only when it is another: what is read aloud when it changes is not read again.
export function setText(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

// Fills the page's data-icon places once, at the start.
export function fillIcons(root = document) {
  for (const place of root.querySelectorAll("[data-icon]")) place.prepend(icon(place.dataset.icon));
}

export const reducedMotion = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;

export function scrollTo(target, block = "start") {
  target.scrollIntoView({ behavior: reducedMotion() ? "auto" : "smooth", block });
}

export function debounce(run, milliseconds) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...values), milliseconds);
  };
}

export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;
