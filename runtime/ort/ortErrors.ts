// What ORT reports, as errors of mttc: E_ORT with the graph, the node and the spec path that the node comes
// from. Nodes are named `<origin>/<operator>` by the compiler, so the origin is what stands before the last
// slash.
import { type Location, MttcError } from "../../compiler/diagnostics.ts";
import { deviceFault } from "./deviceFaults.ts";

// The forms in which ORT 1.29 names a node. Names may hold parentheses: `gradient(shared_layers[0])/Mul`.
const NODE_PATTERNS = [
  // A kernel that fails while running: "Non-zero status code returned while running Add node. Name:'x'".
  /\bnode\. Name:'([^']+)'/,
  // Shape inference while loading: "Node (x) Op (Add) [ShapeInferenceError]".
  /\bNode \((.+?)\) Op \(/,
  // Types that differ: "bound to different types (...) in node (x)."
  /\bin node \((.+?)\)(?:\.|$)/,
  // Unknown operators, attributes and wrong numbers of inputs: "In Node, ("x", Foo, ".
  /\bIn Node, \("([^"]+)"/,
  // No kernel for the types: "Could not find an implementation for Sin(7) node with name 'x'".
  /\bnode with name '([^']+)'/,
];

/** The node that a message of ORT's speaks of, if it names one. */
export function nodeOfMessage(message: string): string | undefined {
  for (const pattern of NODE_PATTERNS) {
    const name = pattern.exec(message)?.[1];
    if (name !== undefined) return name;
  }
  return undefined;
}

/** The spec path that a node comes from (`tasks.species.layers[2]/Conv` gives `tasks.species.layers[2]`). */
export function originOfNode(node: string): string | undefined {
  const slash = node.lastIndexOf("/");
  return slash > 0 ? node.slice(0, slash) : undefined;
}

/**
 * The error for a status message; `doing` says what was asked ("running graph train"). E_CUDA_LIBRARY,
 * E_CUDA_DEVICE and E_DEVICE_MEMORY where the message speaks of those, else E_ORT.
 */
export function ortError(doing: string, message: string): MttcError {
  const node = nodeOfMessage(message);
  const origin = node === undefined ? undefined : originOfNode(node);
  const at: Location = { ...(node !== undefined && { node }), ...(origin !== undefined && { origin }) };
  const ofDevice = deviceFault(doing, message);
  if (ofDevice !== undefined) return new MttcError({ ...ofDevice, at });
  return new MttcError({ code: "E_ORT", message: `${doing}: ONNX Runtime says: ${message.trim()}`, at });
}
