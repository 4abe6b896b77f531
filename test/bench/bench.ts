// `npm run bench`: mttc's training step beside the first prototype's, side by side in one process, and
// compile times; `npm run bench -- data`: the loader's rates instead (dataRates.ts); `-- features`: epochs
// on features computed once (featureRates.ts); `-- peers`: steps beside PyTorch's (peers/peers.ts);
// `-- combine`: steps of methods that combine gradients beside the sum's (combineRates.ts); `-- ranks`: one
// process beside several ranks (rankRates.ts); `-- profile`: where a step's time goes (profile/profile.ts).
// Blocks of steps alternate, so that both meet the same neighbours on a shared machine; medians and their
// ratio.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { availableParallelism, cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import Table from "cli-table3";
import { compile } from "../../compiler/compile.ts";
import type { TaskClasses } from "../../compiler/model/network.ts";
import { parseSpec, resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { OrtHost } from "../../runtime/ort/ortHost.ts";
import { writeBundleDirectory } from "../../runtime/runs/bundleDirectory.ts";
import { compileForHost } from "../../runtime/train/hostCompilation.ts";
import { type MicroBatch, masksOf } from "../../runtime/train/microBatch.ts";
import { TrainingDevice } from "../../runtime/train/trainingDevice.ts";
import { median } from "../median.ts";
import { compareAugmentRates } from "./augmentRates.ts";
import { compareCombiners } from "./combineRates.ts";
import { compareDataRates } from "./dataRates.ts";
import { compareEpochs } from "./epochs/epochs.ts";
import { compareFeatureEpochs } from "./featureRates.ts";
import { PEER_NETS, type PeerNet, peerSpec } from "./peers/peerNets.ts";
import { comparePeers } from "./peers/peers.ts";
import { profileNet } from "./profile/profile.ts";
import { compareRankRates } from "./rankRates.ts";

type Step = () => Promise<number>;
type PrototypeStep = (net: PeerNet & { readonly threads: number }) => Promise<Step>;

/** Those of the peers' networks that need no trunk. */
const NETS = PEER_NETS.filter(({ trunk }) => trunk === null);
const BLOCK_STEPS = 3;
const BLOCKS = 10;
const THREADS = availableParallelism();

/** One step of mttc as the trainer runs it: worker thread, bindings and all. */
async function mttcStep(
  host: OrtHost,
  folder: string,
  net: PeerNet,
): Promise<{ device: TrainingDevice; step: Step }> {
  const tasks = net.classes.map((_, i) => `task${i}`);
  const spec = resolveSpec(peerSpec(net, ""));
  const classes: TaskClasses = tasks.map((task, i) => ({
    task,
    classes: Array.from({ length: net.classes[i] ?? 2 }, (_, k) => String(k)),
  }));
  const { bundle } = await compileForHost(host, (more) => compile(spec, classes, more));
  const device = await TrainingDevice.open(host, folder, await writeBundleDirectory(folder, bundle));
  await device.startFrom(bundle.state);
  const makeBatch = (): MicroBatch => ({
    images: Uint8Array.from(
      { length: net.batch * net.side * net.side * 3 },
      (_, i) => (i * 2654435761) >>> 24,
    ),
    labels: new Map(
      tasks.map((task, t) => [
        task,
        BigInt64Array.from({ length: net.batch }, (_, row) => BigInt(row % (net.classes[t] ?? 2))),
      ]),
    ),
    masks: new Map(
      masksOf(bundle.manifest, "image").map(({ name, shape, rate }) => {
        const count = shape.reduce<number>((product, dim) => product * Number(dim), 1);
        return [name, Float32Array.from({ length: count }, (_, i) => (i % 2) / (1 - rate))];
      }),
    ),
  });
  const counts = new Map(tasks.map((task) => [task, net.batch]));
  const step = async () => {
    const batch = makeBatch();
    const began = performance.now();
    await device.microBatch(batch, 0, { learningRate: 1e-4, taskWeights: new Map(), counts });
    return performance.now() - began;
  };
  return { device, step };
}

async function compareSteps(folder: string): Promise<boolean> {
  // The prototype is plain JavaScript beside this file's source; dist/ holds only what tsc compiles.
  const source = new URL("../../../test/bench/baseline/trainStep.mjs", import.meta.url);
  const { prototypeStep } = (await import(source.href)) as { prototypeStep: PrototypeStep };
  const table = new Table({
    head: ["training step", "prototype ms", "mttc ms", "mttc / prototype"],
    style: { head: [] },
  });
  let isFast = true;
  for (const net of NETS) {
    const { name } = net;
    await using host = await OrtHost.start({ intraOpThreads: THREADS });
    const baseline = await prototypeStep({ ...net, threads: THREADS });
    const { step } = await mttcStep(host, join(folder, name), net);
    const pairs: { readonly before: number; readonly now: number }[] = [];
    for (let block = 0; block < BLOCKS; block++)
      pairs.push({ before: await medianOf(baseline), now: await medianOf(step) });
    const ratio = median(pairs.map(({ before, now }) => now / before));
    const [before, now] = [median(pairs.map((pair) => pair.before)), median(pairs.map((pair) => pair.now))];
    isFast &&= ratio <= 1;
    table.push([name, before.toFixed(1), now.toFixed(1), ratio.toFixed(2)]);
  }
  console.log(table.toString());
  return isFast;
}

/** Median milliseconds of a block of steps, after one that warms up. */
async function medianOf(step: Step): Promise<number> {
  await step();
  const times: number[] = [];
  for (let i = 0; i < BLOCK_STEPS; i++) times.push(await step());
  return median(times);
}

async function timeCompilation(): Promise<void> {
  const table = new Table({ head: ["compiling", "ms (median of 5)"], style: { head: [] } });
  for (const name of ["two-heads"]) {
    const file = new URL(`../../../examples/${name}/spec.yml`, import.meta.url);
    const spec = parseSpec(await readFile(file, "utf8"), name);
    const classes = spec.tasks.map((task) => ({
      task,
      classes: Array.from({ length: 20 }, (_, i) => String(i)),
    }));
    const times = Array.from({ length: 5 }, () => {
      const began = performance.now();
      compile(spec, classes);
      return performance.now() - began;
    });
    table.push([`examples/${name}`, median(times).toFixed(0)]);
  }
  console.log(table.toString());
}

async function benchTraining(): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), "mttc-bench-"));
  try {
    const isFastEnough = await compareSteps(folder);
    if (!isFastEnough) console.log("slower than the prototype: E_BENCH");
    await timeCompilation();
    return isFastEnough;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

console.log(`${cpus()[0]?.model}, ${THREADS} threads, load ${loadavg()[0]?.toFixed(1)} at the start`);
const BENCHES: Readonly<Record<string, () => Promise<boolean>>> = {
  data: async () => {
    const isRead = await compareDataRates();
    return (await compareAugmentRates()) && isRead;
  },
  features: compareFeatureEpochs,
  ranks: compareRankRates,
  epochs: () => compareEpochs(process.argv.slice(3)),
  peers: () => comparePeers(process.argv.slice(3)),
  combine: () => compareCombiners(process.argv.slice(3)),
  profile: () => profileNet(process.argv.slice(3)),
};
const isGood = await (BENCHES[process.argv[2] ?? ""] ?? benchTraining)();
if (!isGood) process.exitCode = 1;
