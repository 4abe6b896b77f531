// Artifacts in the training build of onnxruntime-web, the last release that has one, under Node: ten steps
// there against ten of train.onnx. MTTC_CLIENTS=1 fetches the package (24 MB) once and runs it.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { TRIES_TOOLCHAINS } from "../clients/client.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import { initialState, nextState, randomBatch, tensorOf, train } from "../step/experiment.ts";
import { type Tensors, withRunner } from "../step/graphRunner.ts";
import { relativeDistance } from "../step/tensors.ts";
import { ORT_TRAINING_STATE } from "../tolerances.ts";
import { compileArtifacts } from "./tracedArtifacts.ts";

const PACKAGE = "onnxruntime-web@1.19.2";
const SCRIPT = join(import.meta.dirname, "runInWasm.mjs");
const FETCH_MS = 300_000;
const STEPS = 10;
const RATE = 0.01;

/** The training build's script, or why there is none. */
function trainingBuild(): { readonly file: string } | { readonly missing: string } {
  if (!TRIES_TOOLCHAINS) return { missing: "MTTC_CLIENTS=1 tries it" };
  const place = join(PROJECT_ROOT, "node_modules", ".cache", "ort-training", "web-1.19.2");
  const file = join(place, "node_modules", "onnxruntime-web", "dist", "ort.training.wasm.min.js");
  if (existsSync(file)) return { file };
  const args = [
    "install",
    "--no-save",
    "--no-audit",
    "--no-fund",
    "--ignore-scripts",
    "--prefix",
    place,
    PACKAGE,
  ];
  const { status, stderr } = spawnSync("npm", args, { encoding: "utf8", timeout: FETCH_MS });
  if (status === 0 && existsSync(file)) return { file };
  return { missing: `${PACKAGE} cannot be had: ${stderr?.trim().split("\n").at(-1)}` };
}

test("ten steps of onnxruntime-web's training build are those of train.onnx", {
  timeout: FETCH_MS,
}, (context) => {
  const build = trainingBuild();
  if ("missing" in build) return context.skip(build.missing);
  const { artifacts, traced } = compileArtifacts(
    { shared_layers: [4, "r"], batchnorm: true, task_layers: [3], clip_norm: 0.5, lr: RATE },
    { a: 3, b: 2 },
  );
  const { manifest, files } = artifacts;
  const { bundle } = traced;
  const batches = Array.from({ length: STEPS }, (_, i) => randomBatch(bundle, `wasm ${i}`));
  const folder = mkdtempSync(join(tmpdir(), "mttc-test-"));
  try {
    for (const [name, bytes] of files) writeFileSync(join(folder, name), bytes);
    writeFileSync(join(folder, "ort-training.json"), JSON.stringify(manifest));
    const steps = batches.map((batch) =>
      Object.fromEntries([...batch].map(([name, { data }]) => [name, [...data]])),
    );
    writeFileSync(join(folder, "plan.json"), JSON.stringify({ steps, rows: manifest.batchSize }));
    const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, build.file, folder], {
      encoding: "utf8",
    });
    expect(status, stderr).toBe(0);
    const found = JSON.parse(stdout) as { losses: number[]; evaluated: string[]; parameters: number[] };
    expect(found.losses.length).toBe(STEPS);
    // That build names what an evaluation gives by what training gives: both have the same.
    expect(found.evaluated).toEqual(manifest.outputs.map(({ name }) => name));
    const wanted = withRunner("ONNX Runtime", traced, (run) =>
      batches.reduce<Tensors>(
        (state, batch) => nextState(state, train(run, bundle, state, batch, RATE)),
        initialState(bundle),
      ),
    );
    let at = 0;
    for (const { name } of manifest.parameters) {
      const { data } = tensorOf(wanted, name);
      const own = found.parameters.slice(at, at + data.length);
      expect(relativeDistance(own, data), name).toBeLessThanOrEqual(ORT_TRAINING_STATE);
      at += data.length;
    }
    expect(at).toBe(found.parameters.length);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
