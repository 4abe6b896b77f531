// A bundle is taken for up to date only where all that decides a compilation is the same and every byte of it
// is as it was written: each of the inputs alone, and damage of each file, has it compiled anew.
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { MANIFEST_FILE } from "../../compiler/bundle/manifest.ts";
import { compile } from "../../compiler/compile.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import {
  readBundleDirectory,
  readUpToDate,
  writeBundleDirectory,
} from "../../runtime/runs/bundleDirectory.ts";
import {
  type CompilationInputs,
  compilationKey,
  compilerIdentity,
} from "../../runtime/runs/compilationKey.ts";

const folder = mkdtempSync(join(tmpdir(), "mttc-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SPEC = {
  tasks: ["a", "b"],
  fcn: { layers: [48, "p"] },
  train_fcn: false,
  task_layers: [4],
  imshape: [8, 8],
  batch_size: 4,
} as const;
const CLASSES = [
  { task: "a", classes: ["no", "yes"] },
  { task: "b", classes: ["x", "y", "z"] },
];
const INPUTS: CompilationInputs = {
  spec: resolveSpec({
    ...SPEC,
    tasks: [...SPEC.tasks],
    task_layers: [4],
    imshape: [8, 8],
    fcn: { layers: [48, "p"] },
  }),
  classes: CLASSES,
  models: { trunk: { hash: "t" }, teacher: { hash: "s" } },
  target: "cpu",
  channelBlock: 8,
};

describe("the key of a compilation", () => {
  const key = compilationKey(INPUTS, "compiler 1");

  test("is the same for the same", () => {
    expect(compilationKey(structuredClone(INPUTS), "compiler 1")).toBe(key);
    expect(key).toMatch(/^[0-9a-f]{64}$/);
  });

  test("is another for every key of the spec that is another", () => {
    for (const name of Object.keys(INPUTS.spec)) {
      const spec = { ...INPUTS.spec, [name]: "another" } as unknown as CompilationInputs["spec"];
      expect(compilationKey({ ...INPUTS, spec }, "compiler 1"), name).not.toBe(key);
    }
  });

  const [a, b] = CLASSES as [(typeof CLASSES)[0], (typeof CLASSES)[0]];
  test.each<[string, Partial<CompilationInputs>]>([
    ["another class", { classes: [{ ...a, classes: ["no", "maybe"] }, b] }],
    ["one class more", { classes: [{ ...a, classes: [...a.classes, "maybe"] }, b] }],
    ["classes in another order", { classes: [{ ...a, classes: a.classes.toReversed() }, b] }],
    [
      "classes of the other task",
      {
        classes: [
          { ...a, classes: b.classes },
          { ...b, classes: a.classes },
        ],
      },
    ],
    ["tasks in another order", { classes: [b, a] }],
    ["another model file", { models: { ...INPUTS.models, trunk: { hash: "u" } } }],
    ["no model file", { models: { teacher: { hash: "s" } } }],
    ["another teacher", { models: { ...INPUTS.models, teacher: { hash: "t" } } }],
    ["model and teacher exchanged", { models: { trunk: { hash: "s" }, teacher: { hash: "t" } } }],
    ["another target", { target: "cuda" }],
    ["a loader that warps", { loaderWarps: true }],
    ["several processes", { ranks: 2 }],
    ["another processor", { channelBlock: 16 }],
    ["a processor of which nothing is known", { channelBlock: undefined }],
  ])("is another for %s", (_, change) => {
    expect(compilationKey({ ...INPUTS, ...change }, "compiler 1")).not.toBe(key);
  });

  test("one process is what is meant where nobody says how many", () => {
    expect(compilationKey({ ...INPUTS, ranks: 1 }, "compiler 1")).toBe(key);
  });

  test("is another for another compiler", () => {
    expect(compilationKey(INPUTS, "compiler 2")).not.toBe(key);
    expect(compilationKey(INPUTS)).toBe(compilationKey(INPUTS, compilerIdentity()));
  });

  test("knows the compiler by its version and by every file of its code", () => {
    const code = join(folder, "code");
    mkdirSync(join(code, "ops"), { recursive: true });
    writeFileSync(join(code, "compile.js"), "a");
    writeFileSync(join(code, "ops", "conv.ts"), "b");
    const seen = [compilerIdentity([code])];
    const changed = (change: () => void): void => {
      change();
      seen.push(compilerIdentity([code]));
    };
    changed(() => appendFileSync(join(code, "ops", "conv.ts"), "c"));
    changed(() => writeFileSync(join(code, "ops", "conv.ts"), "cb"));
    changed(() => writeFileSync(join(code, "new.js"), ""));
    changed(() => rmSync(join(code, "compile.js")));
    expect(new Set(seen).size).toBe(seen.length);
    writeFileSync(join(code, "compile.d.ts"), "types");
    writeFileSync(join(code, "compile.js.map"), "{}");
    expect(compilerIdentity([code])).toBe(seen.at(-1));
    expect(compilerIdentity()).not.toBe(compilerIdentity([]));
  });
});

describe("a bundle in a folder", () => {
  const bundle = compile(INPUTS.spec, CLASSES);
  const directory = join(folder, "bundle");
  beforeEach(async () => {
    await writeBundleDirectory(directory, bundle, { key: "k" });
  });

  test("is up to date while it is as it was written, for its key alone", async () => {
    const manifest = await readUpToDate(directory, "k");
    expect(manifest).toEqual(await readBundleDirectory(directory, ["train"]));
    expect(Object.keys(manifest?.files ?? {})).toContain("constants.bin");
    expect(await readUpToDate(directory, "l")).toBeUndefined();
    expect(await readUpToDate(join(folder, "nowhere"), "k")).toBeUndefined();
  });

  test("is not where it was written without a key", async () => {
    await writeBundleDirectory(directory, bundle);
    expect(await readUpToDate(directory, "k")).toBeUndefined();
  });

  test.each([...bundle.files.keys(), "state.safetensors"])(
    "is not where %s is damaged or gone",
    async (file) => {
      const path = join(directory, file);
      const bytes = readFileSync(path);
      for (const at of [0, Math.floor(bytes.length / 2), bytes.length - 1]) {
        const damaged = Uint8Array.from(bytes);
        damaged[at] = (damaged[at] ?? 0) ^ 1;
        writeFileSync(path, damaged);
        expect(await readUpToDate(directory, "k"), `byte ${at}`).toBeUndefined();
      }
      writeFileSync(path, bytes.subarray(1));
      expect(await readUpToDate(directory, "k")).toBeUndefined();
      rmSync(path);
      expect(await readUpToDate(directory, "k")).toBeUndefined();
      writeFileSync(path, bytes);
      expect(await readUpToDate(directory, "k")).toBeDefined();
    },
  );

  test.each([
    ["a number is another", (text: string) => text.replace('"batchSize": 4', '"batchSize": 5')],
    ["a class is another", (text: string) => text.replace('"yes"', '"yet"')],
    ["a file is not listed", (text: string) => text.replace('"apply.onnx": {', '"other.onnx": {')],
    ["it is cut short", (text: string) => text.slice(0, -100)],
    ["it is empty", () => ""],
    ["its own hash is another", (text: string) => text.replace(/("compiled"[^}]*"sha256": ")./, "$1-")],
  ])("is not where %s in the manifest", async (_, change) => {
    const path = join(directory, MANIFEST_FILE);
    const text = readFileSync(path, "utf8");
    expect(change(text)).not.toBe(text);
    writeFileSync(path, change(text));
    expect(await readUpToDate(directory, "k")).toBeUndefined();
  });

  test("of a run has no initial state", async () => {
    const { files } = await writeBundleDirectory(directory, bundle, { withoutState: true, key: "k" });
    expect(Object.keys(files)).toEqual([...bundle.files.keys()]);
    expect((await readUpToDate(directory, "k"))?.files).toEqual(files);
  });
});
