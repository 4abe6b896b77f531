// What a compilation depends on, as one hash: a bundle that was compiled from the same is not compiled again.
// Whatever the compiler looks at must be in it: the spec, the classes, the content of the model files, the
// target with what is known of the processor, and the compiler itself.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Target } from "../../compiler/bundle/manifest.ts";
import type { TaskClasses } from "../../compiler/model/network.ts";
import type { Spec } from "../../compiler/spec/schema.ts";
import { openTasks } from "../../compiler/tasks/openTask.ts";
import type { ModelHashes } from "./fingerprint.ts";

/** All that decides what compile() gives, where no forms were measured. */
export interface CompilationInputs {
  readonly spec: Spec;
  readonly classes: TaskClasses;
  readonly models: ModelHashes;
  readonly target: Target;
  readonly channelBlock?: number | undefined;
  readonly loaderWarps?: boolean | undefined;
  /** Processes that train together; default 1. */
  readonly ranks?: number | undefined;
  /** Hash of weights that it begins with in place of drawn ones. */
  readonly initial?: string | undefined;
}

/** Code between a model file and a bundle, by folder. */
const COMPILER_FOLDERS = ["compiler", "runtime/models"];

/** SHA-256 (hex) of the inputs and of what compiles them. */
export function compilationKey(inputs: CompilationInputs, compiler: string = compilerIdentity()): string {
  const {
    spec,
    classes,
    models,
    target,
    channelBlock = null,
    loaderWarps = false,
    initial,
    ranks = 1,
  } = inputs;
  const optional = { ...(initial === undefined ? {} : { initial }), ...(ranks === 1 ? {} : { ranks }) };
  const facts = { target, channelBlock, loaderWarps, ...optional };
  const hashes = [models.trunk?.hash ?? null, models.teacher?.hash ?? null];
  const named = openTasks(classes).map(({ name, groups, description }) =>
    groups.areClasses ? [name, groups.names] : description,
  );
  return createHash("sha256")
    .update(JSON.stringify({ compiler, spec, classes: named, models: hashes, ...facts }))
    .digest("hex");
}

/**
 * Hash of mttc's version, its dependencies' and the code of the compiler: of a checkout the version says
 * little. `folders` for tests.
 */
export function compilerIdentity(folders: readonly string[] = compilerFolders()): string {
  const hash = createHash("sha256");
  const require = createRequire(import.meta.url);
  const { version, dependencies } = require("#package") as Record<string, unknown>;
  hash.update(JSON.stringify([version, dependencies]));
  for (const folder of folders)
    for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" }).toSorted()) {
      if (!/\.(js|ts)$/.test(name) || name.endsWith(".d.ts")) continue;
      const code = readFileSync(join(folder, name));
      hash.update(`\n${name} ${code.length}\n`).update(code);
    }
  return hash.digest("hex");
}

function compilerFolders(): string[] {
  return COMPILER_FOLDERS.map((folder) => fileURLToPath(new URL(`../../${folder}`, import.meta.url)));
}
