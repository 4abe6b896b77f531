// A compiled bundle as tables: what each graph takes and gives by role, with what whoever runs it puts in.
import type { GraphEntry, Manifest, TensorEntry } from "../compiler/bundle/manifest.ts";
import { count, renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

/** One section for each graph. */
export function bundleText({ graphs, target, batchSize, accumulate }: Manifest, terminal: Terminal): string {
  const { bold } = terminal.colours;
  const parts = accumulate > 1 ? `, in ${accumulate} micro-batches` : "";
  const head = `A bundle for ${target}, batches of ${batchSize}${parts}`;
  const sections = Object.entries(graphs).map(
    ([name, graph]) => `${bold(`Graph ${name} (${graph.purpose})`)}\n${graphTable(graph, terminal)}`,
  );
  return [head, ...sections].join("\n\n");
}

function graphTable({ inputs, outputs }: GraphEntry, terminal: Terminal): string {
  const rows = [...tensorRows("in", inputs), ...tensorRows("out", outputs)];
  return renderTable(terminal, ["", "role", "tensor", "type", "what"], rows);
}

/** A row for each tensor; those that training keeps are hundreds, and a row together. */
function tensorRows(side: "in" | "out", entries: readonly TensorEntry[]): string[][] {
  const kept = (["state", "accumulator"] as const).flatMap((role) => {
    const own = entries.filter((entry) => entry.role === role);
    const text = side === "in" ? "as they are" : "as they are next";
    return own.length === 0 ? [] : [[side, role, `${count(own.length)} tensors`, "", text]];
  });
  const others = entries.flatMap((entry) => {
    if (entry.role === "state" || entry.role === "accumulator") return [];
    return [[side, entry.role, entry.name, `${entry.dtype}[${entry.shape}]`, meaning(entry)]];
  });
  return [...kept, ...others];
}

function meaning(entry: TensorEntry): string {
  switch (entry.role) {
    case "label":
      return `${entry.encoding}, ${entry.missing} where it is missing`;
    case "mask":
      return `dropout at the rate ${entry.rate}`;
    case "draw":
      return `${entry.draw} by ${entry.stream}`;
    case "losses":
      return `sums of the losses of ${entry.tasks.join(", ")}`;
    case "gram":
    case "gradient_weights":
      return `of the gradients of ${entry.tasks.join(", ")}`;
    case "augment":
      return entry.operations.map(({ name, strength }) => `${name} ${strength}`).join(", ");
    case "scalar": {
      const { formula, ...numbers } = entry.value;
      const values = Object.values(numbers).flat().join(" ");
      return `${entry.scalar}: ${formula}${values === "" ? "" : ` ${values}`}`;
    }
    case "figure":
      return `${entry.figure} of ${entry.task}`;
    case "prediction":
      return `${entry.prediction} of ${entry.task}`;
    default:
      return "";
  }
}
