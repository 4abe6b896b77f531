// `mttc ops`: the operators that mttc knows, and how the derivative of each is proved.
import type { Command } from "commander";
import { type OpRow, opsMarkdown, opsSummary, opsTable, PROOF } from "../compiler/ops/opsTable.ts";
import { renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

export function addOpsCommand(program: Command, terminal: Terminal): void {
  program
    .command("ops")
    .description("list the operators, with what is proved of their derivatives")
    .option("--json", "print the table as JSON")
    .option("--markdown", "print the table as Markdown")
    .action(({ json, markdown }: { json?: boolean; markdown?: boolean }) => {
      const table = opsTable();
      if (json) return terminal.out(JSON.stringify(table, null, 2));
      if (markdown) return terminal.out(opsMarkdown(table));
      terminal.out(rowsText(terminal, table.standard));
      terminal.out("\nOperators of our own, lowered to ONNX's before a graph is written:\n");
      terminal.out(rowsText(terminal, table.own));
      terminal.out(`\n${opsSummary(table)}\n${PROOF}`);
    });
}

/** "central differences + ORT", or why there is no such proof. */
function proofOf({ derivative, reason }: OpRow): string {
  return derivative === "proved" ? "central differences + ORT" : `${derivative}: ${reason}`;
}

function rowsText(terminal: Terminal, rows: readonly OpRow[]): string {
  return renderTable(
    terminal,
    ["operator", "family", "source", "derivative"],
    rows.map((row) => [row.name, row.family, row.source, proofOf(row)]),
  );
}
