// One of several processes that run grad.onnx of a net with batch norms together, on ONNX Runtime and MPI:
// started by mpiexec; reports what its own run gave, by name.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NDArray } from "../../compiler/ir/op.ts";
import { arrayOver, elementBytes } from "../../runtime/ort/hostTensor.ts";
import { type HostTensor, OrtHost } from "../../runtime/ort/ortHost.ts";
import { freshAbortFlag, raiseFlag } from "../../runtime/ranks/abortFlag.ts";
import { gradFeeds, initialState, microBatches, randomBatch } from "../step/experiment.ts";
import { normedNet } from "./normedNet.ts";
import { codeOf, report } from "./rankReport.ts";

/** Runs after which the time of one is told. */
const TIMED = 20;

function hostTensor({ dtype, shape, data }: NDArray): HostTensor {
  const numbers = arrayOver(dtype, new ArrayBuffer(data.length * elementBytes(dtype)));
  if (numbers instanceof BigInt64Array) numbers.set(Array.from(data, BigInt));
  else numbers.set(data);
  return { dtype, shape, data: numbers };
}

/** Opens grad.onnx of the net and gives its feeds on this rank. */
async function openGrad(host: OrtHost, folder: string, rank: number, size: number) {
  const [ranked, single] = [normedNet(size), normedNet(1)];
  for (const [name, bytes] of ranked.bundle.files) await writeFile(join(folder, name), bytes);
  const { inputs } = await host.openGraph("grad", { path: join(folder, "grad.onnx") });
  const batch = randomBatch(single.bundle, "several processes");
  const shared = gradFeeds(ranked, single, batch, initialState(single.bundle));
  const all = new Map([...shared, ...microBatches(batch, size)[rank]!]);
  return Object.fromEntries(inputs.map(({ name }) => [name, hostTensor(all.get(name)!)]));
}

async function main(): Promise<void> {
  const [scenario = "sum"] = process.argv.slice(2);
  const host = await OrtHost.start({ intraOpThreads: 1 });
  const abort = freshAbortFlag();
  const { rank, size } = await host.joinRanks({ engine: "mpi", abort });
  const folder = await mkdtemp(join(tmpdir(), "mttc-norm-"));
  try {
    const feeds = await openGrad(host, folder, rank, size);
    const run = () => host.run("grad", feeds);
    if (scenario === "lost" && rank > 0) {
      report(rank, "never came");
      process.kill(process.pid, "SIGKILL");
    }
    if (scenario === "lost") setTimeout(() => raiseFlag(abort), 1500);
    const outputs = await run();
    const started = performance.now();
    for (let i = 0; i < TIMED; i++) await run();
    const stepMs = (performance.now() - started) / TIMED;
    report(rank, {
      outputs: Object.fromEntries([...outputs].map(([name, { data }]) => [name, Array.from(data, Number)])),
      stepMs,
    });
    await host.leaveRanks();
  } catch (error) {
    report(rank, { code: codeOf(error) });
  } finally {
    await rm(folder, { recursive: true, force: true });
    await host.close();
  }
}

await main();
