// The golden cases: tiny specs in folders of their own, each with the text of its training graphs after three
// stages. Tests of the IR and of the passes run on the same graphs.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Target } from "../../compiler/bundle/manifest.ts";
import type { Graph } from "../../compiler/ir/types.ts";
import type { TaskClasses } from "../../compiler/model/network.ts";
import { parseSpec } from "../../compiler/spec/parseSpec.ts";
import { settingColumns } from "../../compiler/tasks/columnGroups.ts";
import { kindNamed } from "../../compiler/tasks/openTask.ts";
import type { Spec } from "../../compiler/spec/schema.ts";
import { compileTraced, type TracedBundle } from "../training/tracedGraphs.ts";

export const GOLDEN_FOLDER = fileURLToPath(new URL(".", import.meta.url));

/** Names of the cases: the folders beside this file. */
export const GOLDEN_CASES: readonly string[] = readdirSync(GOLDEN_FOLDER, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name)
  .sort();

/** Text of a case's spec. */
export function goldenSpecText(name: string): string {
  return readFileSync(join(GOLDEN_FOLDER, name, "spec.yml"), "utf8");
}

/** What a case is compiled for: CUDA where the name of its folder ends so. */
export function goldenTarget(name: string): Target {
  return name.endsWith("-cuda") ? "cuda" : "cpu";
}

/** A case, compiled, with the graphs of all stages. */
export function compileGoldenCase(name: string): TracedBundle {
  const spec = parseSpec(goldenSpecText(name), `${name}/spec.yml`);
  return compileTraced(spec, classesOf(spec), { target: goldenTarget(name) });
}

/**
 * Classes as the spec lists them; where it does not, `count` numbered ones. Tasks of other kinds have columns
 * of 0 and 1.
 */
export function classesOf(spec: Spec, count = 10): TaskClasses {
  const numbered = Array.from({ length: count }, (_, i) => String(i));
  return spec.tasks.map((task) => {
    const settings = spec.task_kinds[task];
    const kind = kindNamed(settings?.kind);
    if (!settings || !kind || kind.areClasses) return { task, classes: spec.classes?.[task] ?? numbered };
    const column = { names: ["0", "1"], rows: [1, 1] };
    const [, ...others] = (settingColumns(settings) ?? [task]).map(() => column);
    return kind.describe(task, settings, column, ...others);
  });
}

/**
 * The graphs of a case whose text is kept, by the name of the file: of train, or of its halves where they are
 * used, or of the augmentation alone where there is one; as built, of training on features computed once.
 */
export function goldenGraphs({ bundle, stages }: TracedBundle): Map<string, Graph> {
  const { accumulate, augment } = bundle.manifest.spec;
  const graphs = augment ? ["augment"] : accumulate > 1 ? ["grad", "apply"] : ["train"];
  const kept = new Map<string, Graph>();
  for (const graph of graphs)
    for (const stage of ["1-built", "3-lowered", "5-final"]) {
      const found = stages.get(`${graph}/${stage}`);
      if (!found) throw new Error(`no stage ${graph}/${stage}`);
      kept.set(`${graph}.${stage}.txt`, found);
    }
  const onFeatures = stages.get("train_features/1-built");
  if (onFeatures) kept.set("train_features.1-built.txt", onFeatures);
  return kept;
}
