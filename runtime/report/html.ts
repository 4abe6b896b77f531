// HTML as values: what is put into a template is escaped unless it is HTML itself, so that no text of a user
// (class names, paths, notes) can become markup. Values -> Html -> text.
import { visibleLines, visibleText } from "../../compiler/visibleText.ts";

/** A piece of HTML that is safe to be put into a page. */
export class Html {
  readonly text: string;

  private constructor(text: string) {
    this.text = text;
  }

  /** HTML that was made by a program, not written by a user. */
  static trusted(text: string): Html {
    return new Html(text);
  }
}

/** What a template takes; nothing is shown of undefined. */
export type HtmlValue = Html | string | number | undefined | readonly HtmlValue[];

/** html`<b>${text}</b>`: values are escaped, in attributes (which are quoted) as in text; lists are joined. */
export function html(parts: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return Html.trusted(parts.map((part, i) => part + (i < values.length ? textOf(values[i]) : "")).join(""));
}

/** Text whose lines stay lines: for <pre>. */
export function lines(text: string): Html {
  return Html.trusted(escaped(visibleLines(text)));
}

/** A picture as the value of `src`. */
export function dataUri(type: "image/jpeg" | "image/png" | "image/webp", bytes: Uint8Array): Html {
  const { buffer, byteOffset, byteLength } = bytes;
  return Html.trusted(
    `data:${type};base64,${Buffer.from(buffer, byteOffset, byteLength).toString("base64")}`,
  );
}

function textOf(value: HtmlValue): string {
  if (value === undefined) return "";
  if (value instanceof Html) return value.text;
  if (typeof value === "object") return value.map(textOf).join("");
  return escaped(visibleText(String(value)));
}

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? character);
}
