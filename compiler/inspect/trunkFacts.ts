// What became of an imported trunk: where it was cut, what its features are, and what of it is trained.
// Imported trunk and spec in, plain data out.
import type { Dim } from "../ir/types.ts";
import { type ImportedTrunk, importedFcn, type TrunkShare, trunkShare } from "../model/importedTrunk.ts";
import type { NetworkSpec } from "../spec/schema.ts";

export interface TrunkFacts extends TrunkShare {
  /** As the spec names it. */
  readonly file: string;
  /** Layout of the model's own image input. */
  readonly layout: ImportedTrunk["layout"];
  /** Name of the value that is the feature map. */
  readonly cutAt: string;
  /** [C,H,W] of the feature map for images of imshape. */
  readonly features: readonly Dim[];
}

/** Facts of the imported trunk; undefined where the fcn is a list of layers. E_MODEL_OUTPUT as compile. */
export function trunkFacts(spec: NetworkSpec, trunk: ImportedTrunk | undefined): TrunkFacts | undefined {
  const settings = importedFcn(spec);
  const [output] = trunk?.graph.outputs ?? [];
  if (!trunk || !settings || !output) return undefined;
  return {
    file: settings.path,
    layout: trunk.layout,
    cutAt: output.name,
    features: output.value.type.shape.slice(1),
    ...trunkShare(trunk, spec),
  };
}
