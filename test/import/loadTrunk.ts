// Files as trunks, for the tests of what of a file is trained.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ParameterEntry } from "../../compiler/bundle/manifest.ts";
import { compile } from "../../compiler/compile.ts";
import { type ImportedTrunk, trunkShare } from "../../compiler/model/importedTrunk.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { ImportedFcn, Spec } from "../../compiler/spec/schema.ts";
import { readForeignModels } from "../../runtime/models/foreignModels.ts";
import { assertClose } from "../assertClose.ts";
import { GRADIENT_CHECK } from "../tolerances.ts";
import { encodeForeign, type ForeignModel } from "./foreignModel.ts";
import { checkTrunkGradients } from "./trunkGradient.ts";

export const CLASSES = [{ task: "t", classes: ["a", "b"] }];

export interface Loaded {
  readonly spec: Spec;
  readonly trunk: ImportedTrunk;
  readonly notes: readonly string[];
}

export async function load(
  path: string,
  fcn: Partial<ImportedFcn> = {},
  side = 16,
  more: object = {},
): Promise<Loaded> {
  const spec = resolveSpec({
    ...{ tasks: ["t"], fcn: { path, ...fcn }, train_fcn: true, imshape: [side, side], batch_size: 2 },
    ...{ task_layers: [], optimizer: "momentum", ...more },
  } as never);
  const { trunk, notes } = await readForeignModels(spec, "/", CLASSES);
  if (!trunk) throw new Error("no trunk");
  return { spec, trunk, notes };
}

/** A model of a few nodes on an image [N,3,8,8], whose file is written to `folder`. */
export async function loadModel(
  folder: string,
  name: string,
  model: ForeignModel,
  fcn: Partial<ImportedFcn> = {},
): Promise<Loaded> {
  const path = join(folder, `${name}.onnx`);
  writeFileSync(path, encodeForeign({ image: ["N", 3, 8, 8], ...model }));
  return await load(path, fcn, 8);
}

export function parametersOf({ spec, trunk }: Pick<Loaded, "spec" | "trunk">): readonly ParameterEntry[] {
  return compile(spec, CLASSES, { trunk }).manifest.parameters.filter(({ part }) => part === "fcn");
}

export const isStatistic = ({ role }: ParameterEntry): boolean => role.startsWith("running_");

export function trainedNames(loaded: Loaded): string[] {
  return parametersOf(loaded)
    .filter((entry) => entry.trained && !isStatistic(entry))
    .map(({ name }) => name.replace(/^fcn\./, ""));
}

export function countTrained(loaded: Loaded): number {
  const trained = parametersOf(loaded).filter((entry) => entry.trained && !isStatistic(entry));
  return trained.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
}

export function fixedNames({ spec, trunk }: Loaded): string[] {
  return trunkShare(trunk, spec).fixed.map(({ name }) => name);
}

export function checkGradients({ spec, trunk }: Loaded): void {
  for (const { parameter, analytic, differences } of checkTrunkGradients(trunk, spec))
    assertClose(analytic, differences, { tolerance: GRADIENT_CHECK, what: parameter });
}
