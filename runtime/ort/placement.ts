// Which provider runs which node of a loaded graph, as ORT decided it: what the CPU took over is listed by
// name instead of being found in a profile.
import { type Pointer, readPointers, readText } from "./ffi.ts";
import type { OrtLibrary } from "./library.ts";
import { PROVIDER_NAMES, type Provider, providerTraits } from "./provider.ts";

/** A node of the graph that ORT made of ours, and who runs it. */
export interface Placement {
  /** Our name of the node; ORT's own where it fused or added one. */
  readonly node: string;
  /** Operator, with its domain where that is not ONNX's: "Conv", "com.microsoft.FusedMatMul". */
  readonly operator: string;
  /** ORT's name of the provider: "CPUExecutionProvider". */
  readonly provider: string;
}

/** The nodes that the CPU runs although `provider` is a device. */
export function fallenNodes(provider: Provider, placements: readonly Placement[]): readonly Placement[] {
  if (providerTraits(provider).memory === null) return [];
  return placements.filter((placement) => placement.provider === PROVIDER_NAMES.cpu);
}

/** All nodes of a session that was opened with `recordPlacement`, after ORT's basic optimisation. */
export function readPlacements(library: OrtLibrary, session: Pointer, graph: string): Placement[] {
  const { functions } = library;
  const doing = `reading where the nodes of graph "${graph}" run`;
  const text = (call: (out: [Pointer | null]) => Pointer | null): string =>
    readText(library.make(doing, call));
  const list = (call: (out: [Pointer | null], count: [number]) => Pointer | null): Pointer[] => {
    const [first, count]: [[Pointer | null], [number]] = [[null], [0]];
    library.check(doing, call(first, count));
    return first[0] === null ? [] : readPointers(first[0], Number(count[0]));
  };
  return list((out, count) => functions.Session_GetEpGraphAssignmentInfo(session, out, count)).flatMap(
    (part) => {
      const provider = text((out) => functions.EpAssignedSubgraph_GetEpName(part, out));
      return list((out, count) => functions.EpAssignedSubgraph_GetNodes(part, out, count)).map((node) => {
        const domain = text((out) => functions.EpAssignedNode_GetDomain(node, out));
        const operator = text((out) => functions.EpAssignedNode_GetOperatorType(node, out));
        return {
          node: text((out) => functions.EpAssignedNode_GetName(node, out)),
          operator: domain === "" || domain === "ai.onnx" ? operator : `${domain}.${operator}`,
          provider,
        };
      });
    },
  );
}
