// What `mttc ops` does: prints the tables of operators.
import { importRows, opsetsText, opsMarkdown } from "../compiler/inspect/opsDocs.ts";
import { type OpRow, opsSummary, opsTable, PROOF } from "../compiler/ops/opsTable.ts";
import { renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

/** Options of the command. */
export interface OpsFlags {
  readonly json?: boolean;
  readonly markdown?: boolean;
}

/** Prints the operators, and what import does to others. */
export function listOperators({ json, markdown }: OpsFlags, terminal: Terminal): void {
  const table = opsTable();
  const imports = importRows();
  if (json) terminal.out(JSON.stringify({ ...table, imports }, null, 2));
  else if (markdown) terminal.out(opsMarkdown(table, imports));
  else listRows(table, imports, terminal);
}

function listRows(
  table: ReturnType<typeof opsTable>,
  imports: ReturnType<typeof importRows>,
  terminal: Terminal,
): void {
  terminal.out(rowsText(terminal, table.standard));
  terminal.out(
    "\nOperators of our own, lowered to ONNX's before a graph is written, or, between processes, computed by mttc:\n",
  );
  terminal.out(rowsText(terminal, table.own));
  terminal.out("\nOperators of ONNX Runtime, which only the lowering for CUDA emits:\n");
  terminal.out(rowsText(terminal, table.extensions));
  terminal.out("\nWhat import does to operators of other opsets, and which it refuses:\n");
  const changes = imports.map((row) => [row.operator, opsetsText(row), row.treatment, row.reason]);
  terminal.out(renderTable(terminal, ["operator", "opsets", "treatment", "how, or why"], changes));
  terminal.out(`\n${opsSummary(table)}\n${PROOF}`);
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
