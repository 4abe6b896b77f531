// What each rank does in a test of the NCCL engine: "device" memory is the host's, behind a stand-in library.
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { NativeMemory } from "../../runtime/ort/ffi.ts";
import { freshAbortFlag } from "../../runtime/ranks/abortFlag.ts";
import { joinRanks } from "../../runtime/ranks/joinRanks.ts";
import type { EngineRequest, RankEngine, RankPart } from "../../runtime/ranks/rankEngine.ts";
import { codeOf, element, report, wrongCopies, wrongSums } from "./rankReport.ts";

const FLOAT_BYTES = 4;

interface Tensor extends RankPart {
  readonly floats: Float32Array;
}

/** Memory of `size` float32, known to the engine as a device's or as the host's. */
function tensor(size: number, place: "host" | "device"): Tensor {
  const { address, bytes } = new NativeMemory(Math.max(size, 1) * FLOAT_BYTES);
  const floats = new Float32Array(bytes.buffer, 0, size);
  const sizeBytes = size * FLOAT_BYTES;
  const memory = place === "host" ? bytes.subarray(0, sizeBytes) : null;
  return { name: `${place} ${size}`, address, sizeBytes, memory, floats };
}

function fill({ floats }: Tensor, rank: number): void {
  for (let i = 0; i < floats.length; i++) floats[i] = element(rank, i);
}

function sums(engine: RankEngine): unknown {
  const { rank, size } = engine.place;
  const sizes = [1, 0, 16_385, 1_000_003, 3];
  const tensors = sizes.flatMap((count) => [tensor(count, "device"), tensor(count, "host")]);
  let wrong = 0;
  for (let round = 0; round < 3; round++) {
    for (const each of tensors) fill(each, rank);
    engine.allReduce(tensors);
    for (const { floats } of tensors) wrong += wrongSums(floats, size);
    for (const each of tensors) fill(each, rank);
    engine.broadcast(tensors);
    for (const { floats } of tensors) wrong += wrongCopies(floats);
  }
  const bytes = engine.broadcastBytes(new TextEncoder().encode(rank === 0 ? "of 0" : "another's"));
  engine.leave();
  return { wrong, bytes: new TextDecoder().decode(bytes), place: engine.place };
}

/** Rank 1 does not come to the sum, and the flag is raised by another thread. */
async function lost(engine: RankEngine, abort: SharedArrayBuffer): Promise<unknown> {
  if (engine.place.rank === 1) {
    process.kill(process.pid, "SIGKILL");
  }
  const raise = `const { parentPort, workerData } = require("node:worker_threads");
    parentPort.postMessage("here");
    setTimeout(() => Atomics.store(new Int32Array(workerData), 0, 1), 300);`;
  await once(new Worker(raise, { eval: true, workerData: abort }), "message");
  const parts = [tensor(100, "device")];
  const codes = [outcomeOf(() => engine.allReduce(parts)), outcomeOf(() => engine.allReduce(parts))];
  engine.leave();
  return { codes };
}

function outcomeOf(call: () => unknown): string {
  try {
    call();
    return "went on";
  } catch (error) {
    return codeOf(error);
  }
}

async function main(): Promise<void> {
  const [name = "", engine = "nccl", runtime = "", without = ""] = process.argv.slice(2);
  const rank = Number(process.env.PMI_RANK);
  const shared = name === "shared";
  const uuid = shared ? "one" : `device ${rank}`;
  const device = without === String(rank) ? null : { device: shared ? 0 : rank, uuid, runtime };
  const abort = freshAbortFlag();
  try {
    const { engine: joined } = joinRanks({ engine: engine as EngineRequest, abort }, device);
    const { place, reachesDevices } = joined;
    if (name === "lost") report(rank, await lost(joined, abort));
    else report(rank, name === "place" ? { ...place, reachesDevices } : sums(joined));
    joined[Symbol.dispose]();
  } catch (error) {
    report(rank, { code: codeOf(error), error: String(error) });
    // The first to end without leaving MPI has mpiexec kill the others, who have something to report too.
    await new Promise((resolve) => setTimeout(resolve, 1500));
  }
}

await main();
