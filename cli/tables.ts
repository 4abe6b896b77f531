// Tables and numbers as text. On a terminal with lines between the columns, elsewhere with blanks alone, so
// that the output can be cut and compared.

import Table from "cli-table3";
import { visibleText } from "../compiler/visibleText.ts";
import type { Terminal } from "./terminal.ts";

const NO_LINES = Object.fromEntries(
  [
    "top",
    "top-mid",
    "top-left",
    "top-right",
    "bottom",
    "bottom-mid",
    "bottom-left",
    "bottom-right",
    "left",
    "left-mid",
    "mid",
    "mid-mid",
    "right",
    "right-mid",
  ].map((place) => [place, ""]),
);

/**
 * A table as text, one line a row, whatever the cells hold; columns whose index is in `right` are aligned to
 * the right.
 */
export function renderTable(
  terminal: Pick<Terminal, "isTerminal" | "colours">,
  head: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly number[] = [],
): string {
  const table = new Table({
    head: head.map((name) => terminal.colours.bold(visibleText(name))),
    colAligns: head.map((_, i) => (right.includes(i) ? "right" : "left")),
    ...tableStyle(terminal),
  });
  table.push(...rows.map((row) => row.map(visibleText)));
  const text = table.toString();
  return terminal.isTerminal
    ? text
    : text
        .split("\n")
        .map((line) => line.trimEnd())
        .join("\n");
}

/** How tables look: with lines between the columns on a terminal, elsewhere with blanks alone. */
export function tableStyle({ isTerminal }: Pick<Terminal, "isTerminal">): {
  readonly style: NonNullable<NonNullable<ConstructorParameters<typeof Table>[0]>["style"]>;
  readonly chars: Record<string, string>;
} {
  return {
    style: { head: [], border: [], "padding-left": isTerminal ? 1 : 0, "padding-right": 1 },
    chars: isTerminal ? { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" } : plainChars(),
  };
}

function plainChars(): Record<string, string> {
  return { ...NO_LINES, middle: " " };
}

/** 0.512; "-" for a number that is not known. */
export function decimal(value: number | undefined, digits = 3): string {
  return value === undefined || !Number.isFinite(value) ? "-" : value.toFixed(digits);
}

/** 12,345 */
export function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** 1.23 M, in steps of 1000: operations. */
export function scaled(value: number): string {
  return withPrefix(value, 1000, ["", " k", " M", " G", " T", " P"]);
}

/** 1.23 MiB */
export function bytes(value: number): string {
  return withPrefix(value, 1024, [" B", " KiB", " MiB", " GiB", " TiB"]);
}

function withPrefix(value: number, base: number, names: readonly string[]): string {
  const power = Math.min(
    names.length - 1,
    value > 0 ? Math.max(0, Math.floor(Math.log(value) / Math.log(base))) : 0,
  );
  const number = value / base ** power;
  return `${power === 0 ? String(Math.round(number)) : number.toPrecision(3)}${names[power] ?? ""}`;
}
