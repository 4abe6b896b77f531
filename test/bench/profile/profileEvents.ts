// ONNX Runtime's profile of several runs of a graph, summed by what nodes have in common. Of every figure
// the median over the runs counts. Times are milliseconds; ONNX Runtime writes whole microseconds.
import { median } from "../../median.ts";

type TypedShape = Readonly<Record<string, readonly number[]>>;

/** An event as ONNX Runtime writes it; `ts` and `dur` in microseconds. */
export interface ProfileEvent {
  readonly cat: string;
  readonly name: string;
  readonly ts: number;
  readonly dur: number;
  readonly args?: {
    readonly op_name?: string;
    readonly input_type_shape?: readonly TypedShape[];
    readonly output_type_shape?: readonly TypedShape[];
  };
}

/** A node as it ran in one run. */
export interface NodeTime {
  /** Its name in the graph, which begins with its origin. */
  readonly name: string;
  readonly operator: string;
  readonly inputs: readonly TypedShape[];
  readonly outputs: readonly TypedShape[];
  readonly ms: number;
}

/** One run of a graph: its nodes' kernels, and what it took from begin to end. */
export interface GraphRun {
  readonly ms: number;
  readonly nodes: readonly NodeTime[];
}

/** Nodes that have something in common; medians over the runs. */
export interface NodeGroup {
  readonly key: string;
  readonly ms: number;
  /** Number of nodes in a run. */
  readonly nodes: number;
  /** One of them. */
  readonly example: NodeTime;
}

const KERNEL = /_kernel_time$/;

/** The runs of a profile in their order, without the first `warmUp`. */
export function runsOf(events: readonly ProfileEvent[], warmUp: number): GraphRun[] {
  const inOrder = events.toSorted((a, b) => a.ts - b.ts);
  const kernels = inOrder.filter(({ cat, name }) => cat === "Node" && KERNEL.test(name));
  return inOrder
    .filter(({ name }) => name === "model_run")
    .slice(warmUp)
    .map(({ ts: began, dur }) => ({
      ms: dur / 1000,
      nodes: kernels.filter(({ ts }) => ts >= began && ts <= began + dur).map(nodeOf),
    }));
}

function nodeOf({ name, dur, args = {} }: ProfileEvent): NodeTime {
  const { op_name: operator = "", input_type_shape: inputs = [], output_type_shape: outputs = [] } = args;
  return { name: name.replace(KERNEL, ""), operator, inputs, outputs, ms: dur / 1000 };
}

/** Medians of a run: all of it, its kernels, what is between them, the number of nodes. */
export function summaryOf(runs: readonly GraphRun[]) {
  const kernelMs = ({ nodes }: GraphRun): number => nodes.reduce((sum, { ms }) => sum + ms, 0);
  return {
    ms: median(runs.map(({ ms }) => ms)),
    kernels: median(runs.map(kernelMs)),
    walk: median(runs.map((run) => run.ms - kernelMs(run))),
    nodes: median(runs.map(({ nodes }) => nodes.length)),
  };
}

/** Nodes summed by key, the heaviest first. */
export function groupNodes(runs: readonly GraphRun[], keyOf: (node: NodeTime) => string): NodeGroup[] {
  const groups = new Map<string, { example: NodeTime; ms: number[]; nodes: number[] }>();
  for (const [run, { nodes }] of runs.entries())
    for (const node of nodes) {
      const key = keyOf(node);
      const zeros = () => runs.map(() => 0);
      const group = groups.get(key) ?? { example: node, ms: zeros(), nodes: zeros() };
      groups.set(key, group);
      group.ms[run]! += node.ms;
      group.nodes[run]! += 1;
    }
  return [...groups]
    .map(([key, { example, ms, nodes }]) => ({ key, example, ms: median(ms), nodes: median(nodes) }))
    .sort((a, b) => b.ms - a.ms);
}

const SHOWN_TENSORS = 4;

/** "Conv [8,3,64,64] [16,3,3,3] -> [8,16,64,64]"; types but float are said, of many tensors the first. */
export function shapeText({ operator, inputs, outputs }: Omit<NodeTime, "name" | "ms">): string {
  const list = (tensors: readonly TypedShape[]): string => {
    const rest = tensors.length - SHOWN_TENSORS;
    const shown = tensors
      .slice(0, SHOWN_TENSORS)
      .flatMap((tensor) =>
        Object.entries(tensor).map(([type, shape]) => `${type === "float" ? "" : type}[${shape.join(",")}]`),
      );
    return `${shown.join(" ")}${rest > 0 ? ` and ${rest} more` : ""}`;
  };
  return `${operator} ${list(inputs)} -> ${list(outputs)}`;
}

/** Operator and all shapes: what nodes have in common that cost the same. */
export function shapeKey({ operator, inputs, outputs }: NodeTime): string {
  return JSON.stringify([operator, inputs, outputs]);
}
