// What `npm pack` makes, installed into an empty project: the command, `import "mttc"`, `import
// "mttc/compiler"` and their types, on every Node that is promised. `npm run test:clients` tries it: npm
// fetches what it depends on, and the other Nodes.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, type TestContext, test } from "vitest";
import type { ProgramResult } from "../cli/runCli.ts";
import { makeTinyData, type TinyData } from "../cli/tinyData.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import { clientCache, runToEnd, TRIES_TOOLCHAINS } from "./client.ts";

/** Besides the one that runs this. */
const OTHER_NODES = ["20", "22", "24"].filter((major) => !process.version.startsWith(`v${major}.`));
const NODES = [process.version, ...OTHER_NODES.map((major) => `v${major}`)];
const SETUP_MS = 600_000;
/** Install scripts of ONNX Runtime would download CUDA's. */
const NPM = ["npm", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"];

let project: string;
let data: TinyData;
/** Why the package could not be installed; undefined where it was. */
let missing: string | undefined = "npm run test:clients tries it";

beforeAll(async () => {
  if (!TRIES_TOOLCHAINS) return;
  data = await makeTinyData({ epochs: "1" });
  project = mkdtempSync(join(tmpdir(), "mttc-test-"));
  const packed = await run([...NPM, "pack", "--ignore-scripts", "--pack-destination", project], PROJECT_ROOT);
  expect([packed.code, packed.stderr]).toEqual([0, ""]);
  writeFileSync(join(project, "package.json"), '{"private": true, "type": "module"}');
  const tarball = join(project, packed.stdout.trim().split("\n").at(-1) ?? "");
  const installed = await run([...NPM, "install", tarball]);
  missing =
    installed.code === 0 ? undefined : `npm cannot install it here: ${installed.stderr.slice(0, 200)}`;
}, SETUP_MS);
afterAll(async () => {
  if (project) rmSync(project, { recursive: true, force: true });
  await data?.[Symbol.asyncDispose]();
});

const run = (words: readonly string[], cwd = project, node = process.execPath): Promise<ProgramResult> => {
  const path = [dirname(node), process.env.PATH].join(delimiter);
  return runToEnd(words, { cwd, env: { PATH: path, ONNXRUNTIME_NODE_INSTALL: "skip" }, stuckMs: SETUP_MS });
};

/** The binary of a Node, which npm brings where it is not the one that runs this. */
async function nodeBinary(context: TestContext, version: string): Promise<string> {
  if (missing !== undefined) return context.skip(missing);
  if (version === process.version) return process.execPath;
  const folder = await clientCache(`node-${version}`);
  const binary = join(folder, "node_modules", `node-${process.platform}-${process.arch}`, "bin", "node");
  if (!existsSync(binary)) {
    const name = `node-${process.platform}-${process.arch}@${version.slice(1)}`;
    await run([...NPM, "install", "--ignore-scripts", "--prefix", folder, name]);
  }
  return existsSync(binary) ? binary : context.skip(`npm has no Node ${version} for this machine`);
}

const PROGRAM = `
import { MultiTaskTrainer, Predictor, exportRun } from "mttc";
import { compileText } from "mttc/compiler";
const [labels, val, image, logdir] = process.argv.slice(2);
const spec = { train_labels: labels, val_labels: val, filepaths: "file", tasks: ["colour"], imshape: [16, 16] };
const net = { fcn: { layers: [4, "p"] }, train_fcn: true, task_layers: [4], batch_size: 12, logdir };
const trainer = new MultiTaskTrainer({ ...spec, ...net });
await trainer.fit(1);
await exportRun(trainer, { directory: logdir + "/out" });
await trainer.close();
const predictor = await Predictor.open(logdir + "/out/model.onnx");
for await (const row of predictor.predict([image])) console.log(row.class);
await predictor.close();
const text = "tasks: [a]\\nclasses: {a: [x, y]}\\nfcn: {layers: [4]}\\ntrain_fcn: true\\nimshape: 16\\n";
console.log(JSON.stringify(compileText(text).manifest.files));
`;

describe.each(NODES)("on Node %s", (version) => {
  test("the program, its API and the compiler by itself run", async (context) => {
    const node = await nodeBinary(context, version);
    const shown = await run(["npx", "--no-install", "mttc", "--version"], project, node);
    const { version: own } = JSON.parse(readFileSync(join(PROJECT_ROOT, "package.json"), "utf8"));
    expect([shown.code, shown.stdout.trim()]).toEqual([0, own]);
    expect((await run([node, "--version"])).stdout.startsWith(version.split(".")[0] ?? "")).toBe(true);
    writeFileSync(join(project, "program.mjs"), PROGRAM);
    const paths = ["train.csv", "val.csv", "images/val-0.png"].map((name) => join(data.folder, name));
    const args = [...paths, join(project, `run-${version}`)];
    const { code, stdout, stderr } = await run([node, "program.mjs", ...args], project, node);
    expect([code, stderr]).toEqual([0, ""]);
    const [answer, hashes] = stdout.trim().split("\n").slice(-2);
    expect(answer).toMatch(/^(blue|red)$/);
    const { compileText } = await import("../../compiler/compileText.ts");
    const ours = compileText(
      "tasks: [a]\nclasses: {a: [x, y]}\nfcn: {layers: [4]}\ntrain_fcn: true\nimshape: 16\n",
    );
    expect(JSON.parse(hashes ?? "")).toEqual(ours.manifest.files);
  });

  test("a client is written and runs", async (context) => {
    const node = await nodeBinary(context, version);
    const folder = `client-${version}`;
    const written = await run(["npx", "--no-install", "mttc", "client", "node", "-o", folder], project, node);
    expect([written.code, written.stderr]).toEqual([0, ""]);
    const { code, stderr } = await run(
      [node, join(folder, "predict.js"), "nowhere.onnx", "a.png"],
      project,
      node,
    );
    expect([code, stderr]).toEqual([2, expect.stringMatching(/^error E_FILE: /)]);
  });
});

const TYPED = `
import { type ClassAnswer, exportRun, MttcError, MultiTaskTrainer, Predictor, type Spec } from "mttc";
import { compileText, type CompiledText, type TaskDescription } from "mttc/compiler";
const tasks: TaskDescription[] = [{ task: "species", classes: ["fox", "owl"] }];
const compiled: CompiledText = compileText("tasks: [species]", { tasks });
const spec: Spec = compiled.spec;
const bytes: Uint8Array | undefined = compiled.files.get("train.onnx");
export async function answer(): Promise<string> {
  const labels = { train_labels: "train.csv", tasks: ["species"] };
  const trainer = new MultiTaskTrainer({ ...labels, fcn: { layers: [4] }, train_fcn: true });
  await exportRun(trainer, { directory: "out", heatmaps: {} });
  await using predictor = await Predictor.open("model.onnx");
  for await (const row of predictor.predict(["a.png"])) return row.file;
  return String(spec.batch_size + (bytes?.length ?? compiled.manifest.batchSize));
}
export const faults = (error: unknown): number => (error instanceof MttcError ? error.faults.length : 0);
export type Answer = ClassAnswer;
// @ts-expect-error A number is no text of a spec.
compileText(3);
`;

const STRICT = {
  strict: true,
  noEmit: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
};
const NODE_TYPES = { types: ["node"], typeRoots: [join(PROJECT_ROOT, "node_modules", "@types")] };

describe("its types", () => {
  const LANGUAGE = { target: "ES2022", lib: ["ES2023", "ESNext.Disposable"] };
  test.for([
    ["nodenext", { module: "NodeNext", moduleResolution: "NodeNext", ...NODE_TYPES }, TYPED],
    ["bundler", { module: "ESNext", moduleResolution: "Bundler", ...NODE_TYPES }, TYPED],
    [
      "the compiler in a page, without Node's",
      { module: "ESNext", moduleResolution: "Bundler", types: [], lib: ["ES2023", "DOM"] },
      'import { compileText } from "mttc/compiler";\nexport const files = compileText("").files;\n',
    ],
  ] as const)("are sound, declarations included: %s", async ([name, settings, text], context) => {
    if (missing !== undefined) return context.skip(missing);
    const folder = join(project, name.replaceAll(/\W/g, "-"));
    mkdirSync(folder);
    writeFileSync(join(folder, "program.ts"), text);
    const compilerOptions = { ...LANGUAGE, ...STRICT, ...settings };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["program.ts"] }));
    const tsc = join(PROJECT_ROOT, "node_modules", "typescript", "bin", "tsc");
    const { code, stdout } = await run([process.execPath, tsc, "-p", folder]);
    expect([code, stdout]).toEqual([0, ""]);
  });
});
