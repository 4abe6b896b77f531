// The order of the folders of compiler/ and runtime/, which architecture.test.ts holds.

/**
 * The folders of the compiler in the order of its stages: a file imports from its own row or from rows above
 * it. A file that is named itself, alone or in its folder, has that row and not its folder's.
 */
export const COMPILER_STAGES: readonly (readonly string[])[] = [
  ["diagnostics.ts", "visibleText.ts", "spec/classKey.ts"],
  ["ir"],
  ["codec"],
  ["ops"],
  ["tasks"],
  ["combine"],
  ["spec"],
  ["passes"],
  ["read"],
  ["augment"],
  ["model"],
  ["bundle/manifest.ts"],
  ["autodiff"],
  ["step"],
  ["lower"],
  ["bundle"],
  ["export"],
  ["ortTraining"],
  ["compile.ts"],
  ["compileText.ts"],
  ["mttcCompiler.ts"],
  ["inspect"],
];
/** The same for the runtime. */
export const RUNTIME_STAGES: readonly (readonly string[])[] = [
  ["threads"],
  ["files"],
  ["models"],
  ["draws"],
  ["images"],
  ["tables"],
  ["labels"],
  ["checks"],
  ["packs"],
  ["labelling"],
  ["ort"],
  ["setup"],
  ["drawing"],
  ["augment"],
  ["batches"],
  ["runs"],
  ["infer"],
  ["logs"],
  ["probes"],
  ["train"],
  ["sweep"],
  ["series"],
  ["diagnosis"],
  ["export"],
  ["report"],
  ["mttc.ts"],
];
