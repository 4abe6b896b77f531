// Which nodes of an experiment's graphs the provider leaves to the CPU, as ONNX Runtime itself says.
import { join } from "node:path";
import type { OrtHost } from "../../runtime/ort/ortHost.ts";
import { PROVIDER_NAMES } from "../../runtime/ort/provider.ts";
import { type Experiment, StepRun } from "./stepRun.ts";

export interface GraphPlacement {
  readonly experiment: string;
  readonly graph: string;
  readonly nodes: number;
  /** Nodes on the CPU, as "operator name". */
  readonly onCpu: readonly string[];
}

/** The placement of every graph of an experiment's bundle. */
export async function placementsOf(host: OrtHost, experiment: Experiment): Promise<GraphPlacement[]> {
  await using run = await StepRun.open(host, experiment);
  const found: GraphPlacement[] = [];
  for (const [graph, { file }] of Object.entries(run.manifest.graphs)) {
    const name = `placement ${graph}`;
    await host.openGraph(name, { path: join(run.folder, file) }, { recordPlacement: true });
    const nodes = await host.placements(name);
    await host.closeGraph(name);
    const onCpu = nodes
      .filter(({ provider }) => host.provider.kind !== "cpu" && provider === PROVIDER_NAMES.cpu)
      .map(({ operator, node }) => `${operator} ${node}`);
    found.push({ experiment: experiment.name, graph, nodes: nodes.length, onCpu });
  }
  return found;
}
