// The operators as a document: those of the table, and what import does to others. Pure functions of both
// lists, so that the document cannot go out of date.
import { type OpRow, type OpsTable, opsSummary, opsTable, PROOF } from "../ops/opsTable.ts";
import type { ImportRule } from "../read/onnx/importRule.ts";
import { IMPORT_RULES } from "../read/onnx/structure.ts";

/** What import does to one operator at some opsets. */
export type ImportRow = Omit<ImportRule, "convert">;

/** The operators of other opsets, and those that the table does not have: by name, then by opset. */
export function importRows(rules: readonly ImportRule[] = IMPORT_RULES): readonly ImportRow[] {
  return rules
    .map(({ convert: _, ...row }) => row)
    .sort((a, b) => a.operator.localeCompare(b.operator, "en") || a.sinceOpset - b.sinceOpset);
}

/** "11 to 12", or "20 on". */
export function opsetsText({ sinceOpset, untilOpset }: ImportRow): string {
  return untilOpset === undefined ? `${sinceOpset} on` : `${sinceOpset} to ${untilOpset}`;
}

/** Tables in Markdown: ONNX's operators, our own, and what import does to others; the count and the proof. */
export function opsMarkdown(table: OpsTable = opsTable(), imports = importRows()): string {
  const head = ["operator", "family", "derivative", "source", "meaning"];
  const cells = ({ name, family, derivative, reason, source, doc }: OpRow): string[] => {
    const how = reason === "" ? derivative : `${derivative}: ${reason}`;
    return [`\`${name}\``, family, how, source, doc];
  };
  return [
    `${opsSummary(table)} ${PROOF}`,
    markdownTable(head, table.standard.map(cells)),
    "Operators of our own, lowered to ONNX's before a graph is written, or, between processes, computed by mttc:",
    markdownTable(head, table.own.map(cells)),
    "Operators of ONNX Runtime, which only the lowering for CUDA emits:",
    markdownTable(head, table.extensions.map(cells)),
    "What import does to operators of other opsets, and which it refuses:",
    markdownTable(
      ["operator", "opsets", "treatment", "how, or why"],
      imports.map((row) => [`\`${row.operator}\``, opsetsText(row), row.treatment, row.reason]),
    ),
  ].join("\n\n");
}

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), `|${head.map(() => "---|").join("")}`, ...rows.map(line)].join("\n");
}
