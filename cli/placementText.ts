// Placements as tables: per graph the operators and who runs them, and by name what the CPU took over.
import { visibleText } from "../compiler/visibleText.ts";
import { PROVIDER_NAMES } from "../runtime/ort/provider.ts";
import type { GraphPlacement } from "../runtime/train/placements.ts";
import { count, renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

/** One section for each graph. */
export function placementText(placed: readonly GraphPlacement[], terminal: Terminal): string {
  return placed.map((graph) => graphText(graph, terminal)).join("\n\n");
}

function graphText({ graph, nodes, fallen }: GraphPlacement, terminal: Terminal): string {
  const { bold, yellow } = terminal.colours;
  const providers = [...new Set(nodes.map(({ provider }) => provider))].sort();
  const operators = [...new Set(nodes.map(({ operator }) => operator))].sort();
  const rows = operators.map((operator) => [
    operator,
    ...providers.map((provider) => {
      const some = nodes.filter((node) => node.operator === operator && node.provider === provider);
      return some.length === 0 ? "" : count(some.length);
    }),
  ]);
  const sums = providers.map((name) => count(nodes.filter(({ provider }) => provider === name).length));
  const right = providers.map((_, column) => column + 1);
  const table = renderTable(terminal, ["operator", ...providers], [...rows, ["all", ...sums]], right);
  const lines = [bold(`Graph ${graph}`), table];
  if (fallen.length === 0 && providers.some((provider) => provider !== PROVIDER_NAMES.cpu))
    lines.push("No node is left to the CPU.");
  if (fallen.length > 0) {
    lines.push(yellow(`Left to the CPU, with copies to it and back (${fallen.length}):`));
    lines.push(...fallen.map(({ node, operator }) => visibleText(`  ${operator}  ${node}`)));
  }
  return lines.join("\n");
}
