// A run in mixed precision is the same run on CUDA and on the CPU: checkpoints go from one to the other, only
// the loss scaling stays behind or begins afresh.
import { expect, test } from "vitest";
import type { StoredManifest } from "../../compiler/bundle/manifest.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { LOSS_SCALE, LOSS_SCALING, SCALED_STEPS } from "../../compiler/step/lossScaling.ts";
import type { LoadedCheckpoint } from "../../runtime/runs/checkpoints.ts";
import { FRESH_EPOCH } from "../../runtime/train/epochLoop.ts";
import { readCheckpointState } from "../../runtime/train/progress.ts";
import { rejection } from "../ort/rejection.ts";
import { compileTraced, numberedClasses } from "./tracedGraphs.ts";

const spec = resolveSpec({
  tasks: ["a"],
  fcn: { layers: [2] },
  train_fcn: true,
  imshape: [4, 4],
  precision: "fp16",
});
const fingerprint = { spec: "s", data: "d" };

/** A session as far as checkpoints look at it. */
function sessionFor(target: "cpu" | "cuda"): { manifest: StoredManifest; fingerprint: typeof fingerprint } {
  const { bundle } = compileTraced(spec, numberedClasses({ a: 2 }), { target });
  return { manifest: { ...bundle.manifest, files: {} }, fingerprint };
}

/** What a session would have saved: every tensor of ones. */
function checkpointOf({ manifest }: ReturnType<typeof sessionFor>): LoadedCheckpoint {
  const tensors = manifest.state.map(({ name, dtype, shape }) => {
    const count = shape.reduce((product, dim) => product * dim, 1);
    const data = dtype === "int64" ? new BigInt64Array(count).fill(1n) : new Float32Array(count).fill(1);
    return [name, { name, dtype, shape, data: new Uint8Array(data.buffer) }] as const;
  });
  const progress = { fingerprint, epochState: FRESH_EPOCH, history: [] };
  return { epoch: 1, path: "ckpt", warnings: [], progress, tensors: new Map(tensors) };
}

const namesOf = ({ manifest }: ReturnType<typeof sessionFor>) => manifest.state.map(({ name }) => name);

test("a checkpoint of CUDA goes on on the CPU without the scaling", () => {
  const [cpu, cuda] = [sessionFor("cpu"), sessionFor("cuda")];
  expect(namesOf(cuda)).toEqual(expect.arrayContaining([...namesOf(cpu), LOSS_SCALE, SCALED_STEPS]));
  const { tensors } = readCheckpointState(cpu.manifest, checkpointOf(cuda));
  expect([...tensors.keys()].sort()).toEqual(namesOf(cpu).sort());
});

test("a checkpoint of the CPU goes on on CUDA with a scaling that begins", () => {
  const { tensors } = readCheckpointState(sessionFor("cuda").manifest, checkpointOf(sessionFor("cpu")));
  expect(new Float32Array(tensors.get(LOSS_SCALE)?.buffer ?? new ArrayBuffer(0))).toEqual(
    Float32Array.of(LOSS_SCALING.initial),
  );
  expect(new BigInt64Array(tensors.get(SCALED_STEPS)?.buffer ?? new ArrayBuffer(0))).toEqual(
    BigInt64Array.of(0n),
  );
});

test("on CUDA the scaling is gone on with, and any other tensor that is too many is refused", async () => {
  const cuda = sessionFor("cuda");
  const checkpoint = checkpointOf(cuda);
  expect(readCheckpointState(cuda.manifest, checkpoint).tensors.get(LOSS_SCALE)).toEqual(
    checkpoint.tensors.get(LOSS_SCALE)?.data,
  );
  const [first] = checkpoint.tensors.values();
  const more = new Map([...checkpoint.tensors, ...(first ? [["other", first] as const] : [])]);
  const error = await rejection(
    Promise.resolve().then(() => readCheckpointState(cuda.manifest, { ...checkpoint, tensors: more })),
  );
  expect(error).toMatchObject({ code: "E_CKPT_MISMATCH", message: expect.stringContaining("other") });
});
