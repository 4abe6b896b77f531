// From an imported graph to the trunk that a spec trains: shared numbers apart, pixels as the network expects
// them, and what was decided for the log. In: graph and what its file says; out: an ImportedTrunk.

import type { TensorSources } from "../ir/tensorSource.ts";
import type { Graph } from "../ir/types.ts";
import { whiteLevel } from "../spec/pixelRange.ts";
import type { ImportedFcn, ModelSpec } from "../spec/schema.ts";
import type { ImportedTrunk } from "./importedTrunk.ts";
import { expectsBytePixels } from "./pixelArithmetic.ts";
import { judgeTensors } from "./trunkTensors.ts";
import { type UntiedGraph, untieTensors } from "./untying.ts";

/** A graph cut at its feature map, as importers give it. */
export interface CutGraph extends Pick<ImportedTrunk, "layout" | "notes" | "hash"> {
  readonly graph: Graph;
  readonly sources: TensorSources;
}

/** The largest pixel that networks for bytes expect. */
const WHITE = 255;
/** Names that a note lists. */
const LISTED = 4;

/** Prepares a trunk for a spec that names it as its fcn. */
export function prepareTrunk(cut: CutGraph, spec: ModelSpec, settings: ImportedFcn): ImportedTrunk {
  const untied = untieTensors(cut.graph, cut.sources);
  const { layout, hash } = cut;
  const pixels = pixelsOf(untied.graph, spec, settings);
  const notes = [...cut.notes, ...sharingNotes(untied), ...pixels.notes];
  const { pixelScale } = pixels;
  return { graph: untied.graph, layout, notes, hash, sources: untied.sources, pixelScale };
}

/** Says what was separated and what stays shared, of tensors that are trained or follow the batches. */
function sharingNotes({ graph, sources, shared }: UntiedGraph): string[] {
  const judged = judgeTensors(graph, sources);
  const lists = [...shared].flatMap(([name, values]) => {
    const live = values.filter((value) => judged.get(value)?.fixedBecause === undefined);
    return live.length > 0 ? [{ name, copies: live.length }] : [];
  });
  const apart = lists.filter(({ copies }) => copies > 1);
  const together = lists.filter(({ copies }) => copies === 1);
  const total = apart.reduce((sum, { copies }) => sum + copies, 0);
  return [
    ...(apart.length > 0
      ? [
          `${apart.length} tensors that hold the same numbers for several layers became ${total}, one each: ` +
            listed(apart.map(({ name, copies }) => `${name} (${copies})`)),
        ]
      : []),
    ...(together.length > 0
      ? [
          `${together.length} tensors that several layers share stay one each, trained by all their uses: ` +
            listed(together.map(({ name }) => name)),
        ]
      : []),
  ];
}

function listed(names: readonly string[]): string {
  const more = names.length - LISTED;
  return `${names.slice(0, LISTED).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** Factor of the pixels, by default, of a network that brings pixels of 0 to 255 to its own scale. */
function pixelsOf(
  graph: Graph,
  spec: ModelSpec,
  settings: ImportedFcn,
): { pixelScale?: number; notes: string[] } {
  if (!expectsBytePixels(graph)) return { notes: [] };
  const isNormGiven = spec.bit_depth === 8 && spec.norm !== WHITE;
  const given = [
    ...(["scale", "mean", "std"] as const).filter((key) => settings[key] !== null),
    // A norm of one's own says how pixels are scaled, as scale does.
    ...(isNormGiven ? ["norm"] : []),
  ];
  const prepares = "the model brings pixels of 0 to 255 to its own scale itself";
  const pixelScale = WHITE / whiteLevel(spec);
  if (given.length === 0)
    return { pixelScale, notes: [`${prepares}: they are not divided before (scale ${pixelScale})`] };
  const scale = settings.scale ?? 1 / spec.norm;
  if (Math.abs(scale / pixelScale - 1) < 1e-9 && settings.mean === null && settings.std === null)
    return { notes: [] };
  return {
    notes: [
      `warning: ${prepares}, and the spec's ${given.join(", ")} scales them before: ` +
        `without, scale ${pixelScale} would be taken`,
    ],
  };
}
