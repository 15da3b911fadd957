// The ring that fills as a text nears its limit, with the count in words for those who cannot see it.
import { element } from "./dom.js";
import { svg } from "./icons.js";

const NEAR = 0.9;

export function makeRing(className = "ring") {
  const track = svg("circle", { cx: 16, cy: 16, r: 13, class: "ring-track" });
  const arc = svg("circle", { cx: 16, cy: 16, r: 13, class: "ring-arc", pathLength: 100, "stroke-dasharray": "0 100" });
  const drawn = svg("svg", { viewBox: "0 0 32 32", class: className, "aria-hidden": "true", focusable: "false" });
  drawn.append(track, arc);
  return {
    element: drawn,
    set(share) {
      const filled = Math.max(0, Math.min(1, share)) * 100;
      arc.setAttribute("stroke-dasharray", `${filled.toFixed(2)} 100`);
    },
  };
}

export class CountRing {
  constructor() {
    this.ring = makeRing();
    this.number = element("span", { class: "count-number", text: "0" });
    this.words = element("span", { class: "visually-hidden" });
    this.element = element("span", { class: "count", "data-level": "fine" }, this.ring.element, this.number, this.words);
    this.set(0, 300);
  }

  // A limit of 0 is none: the ring stays empty and the number alone is shown.
  set(count, limit) {
    const share = limit > 0 ? count / limit : 0;
    const left = limit - count;
    const level = limit > 0 && left < 0 ? "over" : share >= NEAR ? "near" : "fine";
    this.element.dataset.level = level;
    this.ring.set(share);
    this.number.textContent = level === "over" ? `${-left} over` : level === "near" ? `${left} left` : `${count}`;
    this.words.textContent = limit > 0 ? ` (${count} of ${limit} characters)` : " characters";
  }
}
