// What test/gpu measures: the examples' specs, pretrained families as trunks (their graphs are fixtures,
// their weights drawn by name), and ResNet-50 at several sizes and precisions.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { ImportedTrunk } from "../../compiler/model/importedTrunk.ts";
import { importTrunk } from "../../compiler/read/onnx/importTrunk.ts";
import { parseSpec, resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { Spec, SpecInput } from "../../compiler/spec/schema.ts";
import { readForeignModels } from "../../runtime/models/foreignModels.ts";
import { readFixture, readGraph } from "../families/familyFixture.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import type { Experiment } from "./stepRun.ts";

const CLASSES = ["a", "b", "c", "d"];
/** Side of the images of ResNet-50's rates: that of ImageNet. */
const IMAGENET_SIDE = 224;

/** The specs of examples/, with drawn classes where they name none. */
export async function exampleExperiments(): Promise<Experiment[]> {
  const experiments: Experiment[] = [];
  const folder = join(PROJECT_ROOT, "examples");
  const names = readdirSync(folder).filter((name) => existsSync(join(folder, name, "spec.yml")));
  for (const file of names.map((name) => join(folder, name, "spec.yml"))) {
    const spec = parseSpec(readFileSync(file, "utf8"), file);
    const classes = classesOf(spec);
    const { trunk } = await readForeignModels(spec, dirname(file), classes);
    experiments.push({ name: basename(dirname(file)), spec, classes, trunk });
  }
  return experiments;
}

/** Families whose steps on the device are compared with those on the CPU, small and trained whole. */
export const FAMILIES_COMPARED = ["resnet", "mobilenet-v3", "convnext"] as const;

/** A thinned family at the size of its fixture. */
export function familyExperiment(family: string, keys: Partial<SpecInput> = {}): Experiment {
  const { side } = readFixture(family);
  return trunkExperiment(family, { imshape: [side, side], batch_size: 4, ...keys });
}

/** Gradients of three tasks that become one: hundreds of small kernels, products summed in float64. */
export function combinedExperiment(): Experiment {
  const spec = resolveSpec({
    tasks: ["a", "b", "c"],
    ...{ fcn: { layers: [16, "p", 32] }, train_fcn: true, shared_layers: [32], task_layers: [16] },
    ...{ imshape: [32, 32], batch_size: 8, accumulate: 2, combine: "upgrad", optimizer: "momentum" },
  });
  return { name: "upgrad", spec, classes: classesOf(spec) };
}

/** ResNet-50 with one head; `train_fcn: false` freezes it. */
export function resnet50(keys: Partial<SpecInput>): Experiment {
  return trunkExperiment("resnet50", { imshape: [IMAGENET_SIDE, IMAGENET_SIDE], ...keys });
}

function trunkExperiment(family: string, keys: Partial<SpecInput>): Experiment {
  const spec = resolveSpec({
    tasks: ["kind"],
    fcn: { path: `${family}.onnx`, batchnorm: keys.train_fcn === false ? "frozen" : "train" },
    train_fcn: true,
    task_layers: [],
    lr: 1e-3,
    optimizer: "momentum",
    ...keys,
  });
  return { name: family, spec, classes: classesOf(spec), trunk: readTrunk(family, spec) };
}

function readTrunk(family: string, spec: Spec): ImportedTrunk {
  const { bytes, externalData } = readGraph(family);
  const options = { file: `${family}.onnx`, imshape: spec.imshape, batch: "N", externalData };
  const { graph, layout, notes } = importTrunk(bytes, options);
  return { graph, layout, notes, hash: family };
}

function classesOf(spec: Spec): Experiment["classes"] {
  return spec.tasks.map((task) => ({ task, classes: spec.classes?.[task] ?? CLASSES }));
}
