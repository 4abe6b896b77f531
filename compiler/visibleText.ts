// Names come from files that others wrote: what a terminal would obey (escape sequences), and what hides or
// turns text round, is shown as JSON would spell it. Any text -> text that is safe to print.

/**
 * Control characters (C0, C1, DEL), line and paragraph separators, halves of surrogate pairs, the byte order
 * mark, and what overrides the direction of text (Unicode Standard Annex 9).
 */
const OBEYED = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069\uFEFF]/gu;
const SHORT: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** The text on one line: `\n`, `\u001b`, `\u202e` stand for what a terminal would obey. */
export function visibleText(text: string): string {
  return text.replace(OBEYED, escapeOf);
}

/** As visibleText, of text whose lines are ours: they stay lines. */
export function visibleLines(text: string): string {
  return text.replace(OBEYED, (character) => (character === "\n" ? character : escapeOf(character)));
}

function escapeOf(character: string): string {
  return SHORT[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
