// Where a node comes from, by its name, which begins with its origin: a place in the spec or a node of an
// imported trunk, alone or as `gradient(...)` or `optimizer(...)`.

export type Stage = "forward" | "loss" | "gradient" | "optimizer" | "ONNX Runtime's own";

export interface NodeOrigin {
  readonly stage: Stage;
  /** Part of the network: "fcn", "shared_layers", "tasks.species", "image"; "all" for what is shared. */
  readonly part: string;
  /** Kind of the layer, or of the parameter, without its number: "node_conv2d", "dense", "kernel". */
  readonly kind: string;
}

/** What ONNX Runtime adds to the name of a node that it has joined with others: one for each time. */
const FUSIONS = /(\/\w+Fusion)+\/$/;

/** Reads a node's name: `tasks.species.dense/Gemm:1`, `gradient(fcn/node_conv2d_3)/Pad`. */
export function originOf(name: string): NodeOrigin {
  const own = name.replace(FUSIONS, "");
  const end = own.lastIndexOf("/");
  // Those that ONNX Runtime puts in, such as transpositions, carry an operator's name alone.
  if (end < 0) return { stage: "ONNX Runtime's own", part: "", kind: kindOf(own) };
  const origin = own.slice(0, end);
  const [, wrapper, inner] = /^(gradient|optimizer)\((.*)\)$/.exec(origin) ?? [];
  const place = inner ?? (origin === "optimizer" ? "all" : origin);
  const kind = kindOf(place);
  const part = /^(tasks\.[^./]+|[^./[]+)/.exec(place)?.[0] ?? place;
  const isLoss = /^tasks\..*\.(loss|log_variance)$/.test(place);
  const plain = origin === "optimizer" ? "optimizer" : isLoss ? "loss" : "forward";
  return { stage: (wrapper as "gradient" | "optimizer" | undefined) ?? plain, part, kind };
}

/** The last component of a path without what numbers it. */
function kindOf(place: string): string {
  const last = /[^./]+$/.exec(place)?.[0] ?? place;
  return last.replace(/(\[\d+\]|_+\d+)+$/, "");
}
