// Paths as they are shown to a person: relative where that is shorter, quoted where a shell would split them.
import { relative } from "node:path";
import { visibleText } from "../compiler/visibleText.ts";

/** `path` as an argument for the user's shell, relative to the working directory if it lies below it. */
export function shownPath(path: string): string {
  const below = relative(process.cwd(), path);
  const text = below === "" || below.startsWith("..") ? path : below;
  if (/^[\w./\\:@%+=-]+$/.test(text)) return text;
  // What cannot be shown as it is has a spelling of its own in bash and zsh.
  if (visibleText(text) !== text) return `$'${visibleText(text.replace(/[\\']/g, "\\$&"))}'`;
  return /["$`]/.test(text) ? `'${text.replaceAll("'", "'\\''")}'` : `"${text}"`;
}
