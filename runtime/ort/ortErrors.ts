// What ORT reports, as errors of mttc: E_ORT with the graph, the node and the spec path that the node comes from.
// Nodes are named `<origin>/<operator>` by the compiler, so the origin is what stands before the last slash.
import { type Location, MttcError } from "../../compiler/diagnostics.ts";

// The forms in which ORT 1.29 names a node: while running, on shape inference, in type checks, and on missing kernels.
const NODE_PATTERNS = [
  /node\.? ?Name:\s?'([^']+)'/i,
  /\bNode \(([^()]+)\) Op \(/,
  /\bnode ?\(([^()]+)\)/,
  /\bNode: ?"?([^\s":]+)"? ?:/i,
  /\bwith name '([^']+)'/,
];

/** The node that a message of ORT's speaks of, if it names one. */
export function nodeOfMessage(message: string): string | undefined {
  for (const pattern of NODE_PATTERNS) {
    const name = pattern.exec(message)?.[1];
    if (name !== undefined && name !== "") return name;
  }
  return undefined;
}

/** The spec path that a node comes from (`tasks.species.layers[2]/Conv` gives `tasks.species.layers[2]`). */
export function originOfNode(node: string): string | undefined {
  const slash = node.lastIndexOf("/");
  return slash > 0 ? node.slice(0, slash) : undefined;
}

/** An E_ORT error for a status message; `doing` says what was asked ("running graph train"). */
export function ortError(doing: string, message: string): MttcError {
  const node = nodeOfMessage(message);
  const origin = node === undefined ? undefined : originOfNode(node);
  const at: Location = { ...(node !== undefined && { node }), ...(origin !== undefined && { origin }) };
  return new MttcError({ code: "E_ORT", message: `${doing}: ONNX Runtime says: ${message}`, at });
}
