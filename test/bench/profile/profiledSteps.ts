// Training steps of one of the peers' networks with ONNX Runtime's profiler on: compiled, written and opened
// as `mttc train` does it, on the batch that `npm run bench -- peers` times.
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compile } from "../../../compiler/compile.ts";
import { InternalError } from "../../../compiler/diagnostics.ts";
import { resolveSpec } from "../../../compiler/spec/parseSpec.ts";
import { drawDropoutMask } from "../../../runtime/draws/dropoutMasks.ts";
import { readForeignModels } from "../../../runtime/models/foreignModels.ts";
import { OrtHost } from "../../../runtime/ort/ortHost.ts";
import { writeBundleDirectory } from "../../../runtime/runs/bundleDirectory.ts";
import { compileForHost } from "../../../runtime/train/hostCompilation.ts";
import { masksOf } from "../../../runtime/train/microBatch.ts";
import { TrainingDevice } from "../../../runtime/train/trainingDevice.ts";
import { type PeerNet, peerSpec } from "../peers/peerNets.ts";
import { stepBatch } from "../peers/stepData.ts";
import type { ProfileEvent } from "./profileEvents.ts";

/** The graph of a whole step. */
const GRAPH = "train";

export interface ProfileSettings {
  /** Folder of the trunks. */
  readonly models: string;
  readonly threads: number;
  /** Measure forms of operators first. */
  readonly autotune: boolean;
  /** Steps to take, those that warm up too. */
  readonly steps: number;
}

/** What ONNX Runtime writes of the steps, and lines for the user from the compilation. */
export async function profileSteps(
  net: PeerNet,
  { models, threads, autotune, steps }: ProfileSettings,
): Promise<{ events: ProfileEvent[]; notes: readonly string[] }> {
  const { classes: names = {}, ...input } = peerSpec(net, models);
  const spec = resolveSpec(input);
  const classes = spec.tasks.map((task) => ({ task, classes: (names[task] ?? []).map(String) }));
  const foreign = await readForeignModels(spec, models, classes);
  const folder = await mkdtemp(join(tmpdir(), "mttc-profile-"));
  try {
    await using host = await OrtHost.start({ intraOpThreads: threads });
    const graphs = (graph: string): boolean => [GRAPH, "evaluate"].includes(graph);
    const { bundle, notes } = await compileForHost(
      host,
      (more) => compile(spec, classes, { ...foreign, graphs, ...more }),
      { autotune },
    );
    const manifest = await writeBundleDirectory(join(folder, "bundle"), bundle);
    const profilePrefix = join(folder, "profile-");
    const device = await TrainingDevice.open(host, join(folder, "bundle"), manifest, { profilePrefix });
    await device.startFrom(bundle.state);
    await takeSteps(device, net, steps);
    // Closing writes the profiles.
    await device[Symbol.asyncDispose]();
    return { events: await readProfile(folder, `profile-${GRAPH}`), notes };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function takeSteps(device: TrainingDevice, net: PeerNet, steps: number): Promise<void> {
  const { images, labels } = stepBatch(net);
  const counts = new Map([...labels].map(([task, row]) => [task, row.filter((label) => label >= 0n).length]));
  const scalars = { learningRate: 1e-4, taskWeights: new Map(), counts };
  for (let step = 0; step < steps; step++) {
    const masks = new Map(
      masksOf(device.manifest, "image").map((mask) => [
        mask.name,
        drawDropoutMask(0, step, mask.shape.map(Number), mask),
      ]),
    );
    // The buffers behind a batch go to ONNX Runtime's thread.
    await device.microBatch({ images: images.slice(), labels: structuredClone(labels), masks }, 0, scalars);
  }
}

async function readProfile(folder: string, prefix: string): Promise<ProfileEvent[]> {
  const file = (await readdir(folder)).find((name) => name.startsWith(prefix));
  if (file === undefined) throw new InternalError(`ONNX Runtime wrote no profile ${prefix}`);
  return JSON.parse(await readFile(join(folder, file), "utf8")) as ProfileEvent[];
}
