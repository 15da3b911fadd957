// What is typed survives a reload: JSON in sessionStorage, which a browser may refuse to give.
const memory = new Map();

export function recall(name, fallback) {
  try {
    const text = sessionStorage.getItem(`bobby.${name}`);
    if (text !== null) return JSON.parse(text);
  } catch {
    // Refused or damaged: what this visit remembers is all there is.
  }
  return memory.has(name) ? memory.get(name) : fallback;
}

export function remember(name, value) {
  memory.set(name, value);
  try {
    if (value === null) sessionStorage.removeItem(`bobby.${name}`);
    else sessionStorage.setItem(`bobby.${name}`, JSON.stringify(value));
  } catch {
    // Full or refused: the value lives as long as the page.
  }
}
