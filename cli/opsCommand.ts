// `mttc ops`: the operators that mttc knows, how the derivative of each is proved, and what import does to others.
import type { Command } from "commander";
import { importRows, opsetsText, opsMarkdown } from "../compiler/inspect/opsDocs.ts";
import { type OpRow, opsSummary, opsTable, PROOF } from "../compiler/ops/opsTable.ts";
import { renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

export function addOpsCommand(program: Command, terminal: Terminal): void {
  program
    .command("ops")
    .description("list the operators, what is proved of their derivatives, and what import does to others")
    .option("--json", "print the table as JSON")
    .option("--markdown", "print the table as Markdown")
    .action(({ json, markdown }: { json?: boolean; markdown?: boolean }) => {
      const table = opsTable();
      const imports = importRows();
      if (json) return terminal.out(JSON.stringify({ ...table, imports }, null, 2));
      if (markdown) return terminal.out(opsMarkdown(table, imports));
      terminal.out(rowsText(terminal, table.standard));
      terminal.out("\nOperators of our own, lowered to ONNX's before a graph is written:\n");
      terminal.out(rowsText(terminal, table.own));
      terminal.out("\nOperators of ONNX Runtime, which only the lowering for CUDA emits:\n");
      terminal.out(rowsText(terminal, table.extensions));
      terminal.out("\nWhat import does to operators of other opsets, and which it refuses:\n");
      const changes = imports.map((row) => [row.operator, opsetsText(row), row.treatment, row.reason]);
      terminal.out(renderTable(terminal, ["operator", "opsets", "treatment", "how, or why"], changes));
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
