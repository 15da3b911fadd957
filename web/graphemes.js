// What a reader counts as one character (UAX #29), as Bluesky and the server count it.
const segmenter = typeof Intl !== "undefined" && Intl.Segmenter
  ? new Intl.Segmenter("en", { granularity: "grapheme" })
  : null;

// Joins what a browser without Intl.Segmenter would split: marks, variation selectors, skin tones,
// joined emojis and flags. Close enough to warn by; the server's count is the one that holds.
function countByCodePoints(text) {
  let count = 0;
  let joined = false;
  let flag_open = false;
  for (const character of text) {
    const extends_last = /[\p{M}\u200d\ufe0f\u{1f3fb}-\u{1f3ff}\u{e0020}-\u{e007f}]/u.test(character);
    const is_flag = /[\u{1f1e6}-\u{1f1ff}]/u.test(character);
    if (!extends_last && !joined && !(is_flag && flag_open)) count += 1;
    flag_open = is_flag && !flag_open;
    joined = character === "\u200d";
  }
  return count;
}

export function countGraphemes(text) {
  if (text === "") return 0;
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  if (segmenter === null) return countByCodePoints(text);
  let count = 0;
  for (const _ of segmenter.segment(text)) count += 1;
  return count;
}
