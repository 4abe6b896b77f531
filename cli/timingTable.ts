// How long each stage of a compilation took, as a table.
import type { StageTime } from "./graphDump.ts";
import { decimal, renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

/** A line per graph with its sum, and its stages below it. */
export function timingTable(times: readonly StageTime[], terminal: Terminal): string {
  const graphs = [...new Set(times.map(({ stage }) => graphOf(stage)))];
  const rows = graphs.flatMap((graph) => {
    const own = times.filter(({ stage }) => graphOf(stage) === graph);
    const sum = own.reduce((total, { ms }) => total + ms, 0);
    const stages = own.map(({ stage, ms, nodes }) => [
      `  ${stage.slice(graph.length + 1)}`,
      decimal(ms, 1),
      String(nodes),
    ]);
    return [[graph, decimal(sum, 1), ""], ...stages];
  });
  return renderTable(terminal, ["stage", "ms", "nodes"], rows, [1, 2]);
}

function graphOf(stage: string): string {
  return stage.slice(0, stage.lastIndexOf("/"));
}
