// Compiles a spec and keeps the graphs of every stage, so that tests can run them in the float64 interpreter.
import type { Bundle } from "../../compiler/bundle/manifest.ts";
import { type CompileOptions, compile } from "../../compiler/compile.ts";
import type { Graph } from "../../compiler/ir/types.ts";
import type { TaskClasses } from "../../compiler/model/network.ts";
import type { Spec } from "../../compiler/spec/schema.ts";

export interface TracedBundle {
  readonly bundle: Bundle;
  /** By stage, e.g. "train/1-built" and "train/5-final". */
  readonly stages: ReadonlyMap<string, Graph>;
}

export function compileTraced(spec: Spec, classes: TaskClasses, options: CompileOptions = {}): TracedBundle {
  const stages = new Map<string, Graph>();
  const bundle = compile(spec, classes, { ...options, trace: (stage, graph) => stages.set(stage, graph) });
  return { bundle, stages };
}

/** Classes "0", "1", ... of each task. */
export function numberedClasses(counts: Readonly<Record<string, number>>): TaskClasses {
  return Object.entries(counts).map(([task, count]) => ({
    task,
    classes: Array.from({ length: count }, (_, i) => String(i)),
  }));
}
