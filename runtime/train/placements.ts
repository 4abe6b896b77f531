// Which provider would run which node of a spec's graphs: they are loaded as training loads them, and not
// run. For `mttc inspect --placement` and the report of a GPU.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Bundle } from "../../compiler/bundle/manifest.ts";
import { temporaryFolder } from "../files/temporaryFolder.ts";
import type { OrtHost, Placement } from "../ort/ortHost.ts";
import { fallenNodes } from "../ort/placement.ts";
import { writeBundleDirectory } from "../runs/bundleDirectory.ts";
import { stepGraphs } from "./stepRounds.ts";

/** The nodes of one graph, as ONNX Runtime keeps them after folding and fusing. */
export interface GraphPlacement {
  readonly graph: string;
  readonly nodes: readonly Placement[];
  /** Those that the CPU runs although another provider was asked for. */
  readonly fallen: readonly Placement[];
}

/**
 * Placements of graphs of a bundle: by default of those that training and evaluation open. Throws what
 * OrtHost throws; E_DISK.
 */
export async function placeGraphs(
  host: OrtHost,
  bundle: Bundle,
  graphs: readonly string[] = openedGraphs(bundle),
): Promise<GraphPlacement[]> {
  const directory = await temporaryFolder("placement");
  try {
    const manifest = await writeBundleDirectory(join(directory, "bundle"), bundle);
    const placed: GraphPlacement[] = [];
    for (const graph of graphs) {
      const path = join(directory, "bundle", manifest.graphs[graph]?.file ?? "");
      const name = `placement of ${graph}`;
      await host.openGraph(name, { path }, { recordPlacement: true });
      const nodes = await host.placements(name);
      await host.closeGraph(name);
      placed.push({ graph, nodes, fallen: fallenNodes(host.provider, nodes) });
    }
    return placed;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function openedGraphs({ manifest }: Bundle): string[] {
  return [...stepGraphs(manifest, "image"), "evaluate"];
}
