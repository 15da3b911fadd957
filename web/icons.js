// Line icons on a 20 by 20 grid; decoration beside a label or an aria-label, so hidden from readers.
const PATHS = {
  moon: ["M16.5 11.6A6.8 6.8 0 0 1 8.4 3.5a6.8 6.8 0 1 0 8.1 8.1z"],
  sun: [
    "M10 6.6a3.4 3.4 0 1 0 0 6.8 3.4 3.4 0 0 0 0-6.8z",
    "M10 1.8v1.6M10 16.6v1.6M1.8 10h1.6M16.6 10h1.6M4.2 4.2l1.1 1.1M14.7 14.7l1.1 1.1M4.2 15.8l1.1-1.1M14.7 5.3l1.1-1.1",
  ],
  help: ["M7.4 7.4a2.7 2.7 0 1 1 3.9 2.4c-.8.4-1.3 1-1.3 1.9v.3", "M10 14.8v.1", "M10 2.2a7.8 7.8 0 1 0 0 15.6 7.8 7.8 0 0 0 0-15.6z"],
  close: ["M5 5l10 10M15 5L5 15"],
  minus: ["M5 10h10"],
  plus: ["M5 10h10M10 5v10"],
  chevron: ["M7.5 5l5 5-5 5"],
  spark: ["M10 2.5l1.8 5.7 5.7 1.8-5.7 1.8L10 17.5l-1.8-5.7L2.5 10l5.7-1.8z"],
  stop: ["M5.5 5.5h9v9h-9z"],
  search: ["M9 3.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11z", "M13 13l4 4"],
  copy: ["M7 7h9v9.5H7z", "M13 7V3.5H4V13h3"],
  done: ["M4 10.5l4 4 8-9"],
  edit: ["M4 16l.8-3.4L13.4 4l2.6 2.6-8.6 8.6z", "M11.8 5.6l2.6 2.6"],
  again: ["M15.8 8.2A6.2 6.2 0 1 0 16 12", "M16.2 3.8v4.4h-4.4"],
  keep: ["M5.5 3h9v14L10 13.6 5.5 17z"],
  trash: ["M3.5 5.5h13M8 5.5V3.5h4v2M5.5 5.5l.7 11h7.6l.7-11M8.5 8.5v5M11.5 8.5v5"],
  details: ["M10 2.8a7.2 7.2 0 1 0 0 14.4 7.2 7.2 0 0 0 0-14.4z", "M10 9.2v4.3", "M10 6.5v.1"],
  back: ["M7.5 4L3.8 7.7l3.7 3.7", "M3.8 7.7h7.6a4.4 4.4 0 0 1 0 8.8H7.5"],
  away: ["M8.5 4.5h-4v11h11v-4", "M11.5 3.8h4.7v4.7", "M16 4l-7 7"],
  reject: ["M10 2.8a7.2 7.2 0 1 0 0 14.4 7.2 7.2 0 0 0 0-14.4z", "M5 5l10 10"],
};
const SVG = "http://www.w3.org/2000/svg";

export function svg(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

export function icon(name) {
  const drawn = svg("svg", { viewBox: "0 0 20 20", class: "icon", "aria-hidden": "true", focusable: "false" });
  for (const d of PATHS[name]) drawn.append(svg("path", { d }));
  return drawn;
}

export function setIcon(button, name) {
  button.querySelector(".icon")?.replaceWith(icon(name));
}
