// ONNX Runtime's telemetry is off however mttc starts it: after training, exporting, predicting and a program
// of the user's own, a fresh home and temporary folder hold nothing of ONNX Runtime's.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCli } from "../cli/runCli.ts";
import { makeTinyData, type TinyData } from "../cli/tinyData.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";

/** What ONNX Runtime 1.29 leaves behind with telemetry on: a log per process, a device's number, a queue. */
const TRACES = /mat-debug|deviceid|onnxruntime\.db|Microsoft|^\.ses$/;

/** Processes that telemetry may need to leave a trace: one, unless the machine is busy. */
const MOST_ATTEMPTS = 8;

const folder = mkdtempSync(join(tmpdir(), "mttc-telemetry-"));
const [home, temporary] = [join(folder, "home"), join(folder, "tmp")];
const env = { HOME: home, TMPDIR: temporary, XDG_CACHE_HOME: join(home, ".cache") };
let data: TinyData;

beforeAll(async () => {
  for (const path of [home, temporary]) mkdirSync(path);
  data = await makeTinyData();
});
afterAll(async () => {
  await data[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

function traces(): string[] {
  return [home, temporary]
    .flatMap((path) => readdirSync(path, { recursive: true, encoding: "utf8" }))
    .filter((name) => TRACES.test(name));
}

test("commands leave no trace of telemetry in HOME and TMPDIR", async () => {
  const commands = [
    ["train", "spec.yml"],
    ["evaluate", "run"],
    ["export", "run"],
    ["predict", "run/export/model.onnx", "images"],
  ];
  for (const args of commands) {
    const { code } = await runCli(data.folder, args, { env: { ...env, ORT_DISABLE_TELEMETRY: "" } });
    expect([args[0], code, traces()]).toEqual([args[0], 0, []]);
  }
});

test("a command line of many files ends no process: with telemetry on, 4 kB of arguments did", async () => {
  const images = Array.from({ length: 1000 }, (_, i) => `images/val-${i % 2}.png`);
  const { code, stdout } = await runCli(data.folder, [
    "predict",
    "run/export/model.onnx",
    "--csv",
    "-",
    ...images,
  ]);
  expect(code).toBe(0);
  expect(stdout.split("\n").length).toBeGreaterThan(images.length);
});

test("neither does a program that uses the API", () => {
  mkdirSync(join(data.folder, "node_modules"));
  symlinkSync(PROJECT_ROOT, join(data.folder, "node_modules", "mttc"), "junction");
  const script = join(data.folder, "predict.mjs");
  writeFileSync(
    script,
    `import { Predictor } from "mttc";
     const model = await Predictor.open("run/export/model.onnx");
     for await (const { class: name } of model.predict(["images/val-0.png"])) console.log(name);
     await model.close();`,
  );
  const { ORT_DISABLE_TELEMETRY: _, ...around } = process.env;
  const options = { cwd: data.folder, env: { ...around, ...env }, encoding: "utf8" } as const;
  const { status, stdout } = spawnSync(process.execPath, [script], options);
  expect([status, stdout.trim().split("\n").length, traces()]).toEqual([0, 2, []]);
});

// ONNX Runtime keeps its telemetry off where CI is set, whatever it is asked for.
test.skipIf(process.env.CI)(
  "whoever asks for it gets it: the traces that the others would leave",
  async () => {
    // A thread of the library's own writes them, which a short process may end before: several are tried.
    for (let attempt = 0; attempt < MOST_ATTEMPTS && traces().length === 0; attempt++)
      await evaluateWithTelemetry();
    if (process.platform === "linux") expect(traces()).not.toEqual([]);
  },
);

async function evaluateWithTelemetry(): Promise<void> {
  const { code } = await runCli(data.folder, ["evaluate", "run"], {
    env: { ...env, ORT_DISABLE_TELEMETRY: "0" },
  });
  expect(code).toBe(0);
}
