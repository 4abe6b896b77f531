// Which nodes of an experiment's graphs the provider leaves to the CPU, as ONNX Runtime itself says.
import { compile } from "../../compiler/compile.ts";
import type { OrtHost } from "../../runtime/ort/ortHost.ts";
import { providerTraits } from "../../runtime/ort/provider.ts";
import { placeGraphs } from "../../runtime/train/placements.ts";
import type { Experiment } from "./stepRun.ts";

export interface GraphPlacement {
  readonly experiment: string;
  readonly graph: string;
  readonly nodes: number;
  /** Nodes on the CPU, as "operator name". */
  readonly onCpu: readonly string[];
}

/** The placement of every graph of an experiment's bundle. */
export async function placementsOf(host: OrtHost, experiment: Experiment): Promise<GraphPlacement[]> {
  const { name, spec, classes, trunk } = experiment;
  const bundle = compile(spec, classes, { target: providerTraits(host.provider).target, trunk });
  const placed = await placeGraphs(host, bundle, Object.keys(bundle.manifest.graphs));
  return placed.map(({ graph, nodes, fallen }) => ({
    experiment: name,
    graph,
    nodes: nodes.length,
    onCpu: fallen.map(({ operator, node }) => `${operator} ${node}`),
  }));
}
