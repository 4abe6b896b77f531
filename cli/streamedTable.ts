// A table that is printed piece by piece: its columns are as wide as the widest cell that can come.

import Table from "cli-table3";
import { visibleText } from "../compiler/visibleText.ts";
import { tableStyle } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

/** A column, and all cells that may stand in it. */
export interface TableColumn {
  readonly head: string;
  readonly cells: readonly string[];
  readonly alignsRight?: boolean;
}

/** `rows` gives the next lines, the first with the head; `end` the last line, "" where there is none. */
export function streamedTable(
  columns: readonly TableColumn[],
  terminal: Pick<Terminal, "isTerminal" | "colours">,
): { rows(rows: readonly (readonly string[])[]): string; end(): string } {
  const padding = terminal.isTerminal ? 2 : 1;
  const widths = columns.map(({ head, cells }) => padding + widest([head, ...cells]));
  let begun = false;
  return {
    rows: (rows) => {
      const { chars, ...style } = tableStyle(terminal);
      const table = new Table({
        ...style,
        ...(begun ? {} : { head: columns.map(({ head }) => terminal.colours.bold(head)) }),
        colAligns: columns.map(({ alignsRight }) => (alignsRight ? "right" : "left")),
        colWidths: widths,
        chars: { ...chars, ...(begun ? NO_TOP : {}), ...NO_BOTTOM },
      });
      table.push(...rows.map((row) => row.map(visibleText)));
      begun = true;
      return trimmed(table.toString(), terminal.isTerminal);
    },
    end: () =>
      begun && terminal.isTerminal ? `└${widths.map((width) => "─".repeat(width)).join("┴")}┘` : "",
  };
}

const NO_TOP = { top: "", "top-mid": "", "top-left": "", "top-right": "" };
const NO_BOTTOM = { bottom: "", "bottom-mid": "", "bottom-left": "", "bottom-right": "" };

function trimmed(text: string, isTerminal: boolean): string {
  const lines = text.split("\n");
  return isTerminal ? text : lines.map((line) => line.trimEnd()).join("\n");
}

/** Columns of the widest text, at least: what is not ASCII may take two each. */
function widest(texts: readonly string[]): number {
  return texts.reduce(
    (most, text) => Math.max(most, text.length + text.replace(/[\x20-\x7e]/g, "").length),
    0,
  );
}
