// The life of a rank that follows: it is told of a run, mirrors rank 0's device on its own rows of every
// batch, evaluates batches, and closes what it opened. Spec, labels and graphs come from rank 0; of files it
// reads the images, or a pack of them, and writes nothing but the bundle in a temporary folder.
import { rm } from "node:fs/promises";
import type { Manifest } from "../../compiler/bundle/manifest.ts";
import { MttcError, need } from "../../compiler/diagnostics.ts";
import type { BatchShare } from "../batches/imageStreams.ts";
import { type BatchLoader, evaluationBatches } from "../batches/loader.ts";
import { LoaderThread } from "../batches/loaderThread.ts";
import { temporaryFolder } from "../files/temporaryFolder.ts";
import { imageFormat } from "../images/images.ts";
import type { WantedOutput } from "../infer/scoring.ts";
import type { LabelledRows } from "../labels/classes.ts";
import type { OrtHost } from "../ort/ortHost.ts";
import { roundingProvider } from "../ort/provider.ts";
import { packDigest } from "../packs/packDigest.ts";
import { closeAll } from "../threads/closeAll.ts";
import { writePiece } from "./bundlePieces.ts";
import { EpochBatches } from "./epochBatches.ts";
import type { MicroBatch, StepScalars } from "./microBatch.ts";
import { readKernels, refuseOtherKernels } from "./rankKernels.ts";
import { stateDigest } from "./rankLeader.ts";
import {
  type BatchOutputs,
  type PackRefusal,
  type RankMessage,
  receivedRows,
  type TableName,
} from "./rankMessages.ts";
import { takeMicroBatch } from "./stepTaking.ts";
import { TrainingDevice } from "./trainingDevice.ts";

/** What is open of a run. */
interface OpenRun {
  readonly manifest: Manifest;
  readonly device: TrainingDevice;
  readonly reader: LoaderThread;
}

/** Where a follower stands in an epoch. */
interface OpenEpoch {
  readonly batches: EpochBatches;
  upcoming: Promise<MicroBatch | undefined>;
}

export interface FollowerOptions {
  readonly host: OrtHost;
  readonly share: BatchShare;
  /** Images decoded at the same time, where the spec leaves it open. */
  readonly parallel: number;
  /** Shows that this rank goes on (freshPulse). */
  readonly pulse?: SharedArrayBuffer | undefined;
}

export class RankFollower implements AsyncDisposable {
  readonly #options: FollowerOptions;
  readonly #closers: (() => Promise<unknown>)[] = [];
  #folder: Promise<string> | undefined;
  #run: OpenRun | undefined;
  #tables = new Map<TableName, LabelledRows>();
  #epoch: OpenEpoch | undefined;
  #evaluation: { readonly loader: BatchLoader; readonly wanted: WantedOutput } | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: FollowerOptions) {
    this.#options = options;
  }

  /** Carries a message out once those before it have been; after a fault nothing more. Gives the reply. */
  handle(message: RankMessage): Promise<unknown> {
    const done = this.#last.then(() => this.#carryOut(message));
    this.#last = done;
    // Whoever awaits `done` is told.
    done.catch(() => undefined);
    return done;
  }

  /** Closes everything that was opened, whatever came in between. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#last.catch(() => undefined);
    await this.#close();
  }

  async #carryOut(message: RankMessage): Promise<unknown> {
    switch (message.kind) {
      case "file":
        return await writePiece(await this.#temporary(), message);
      case "open":
        return await this.#open(message);
      case "tables":
        await this.#leaveEpoch();
        this.#tables = new Map(
          Object.entries(message.tables).map(([name, rows]) => [name as TableName, receivedRows(rows)]),
        );
        return undefined;
      case "pack":
        return await this.#usePack(message);
      case "state":
        return await this.#opened().device.shareState();
      case "epoch":
        return await this.#beginEpoch(message.epoch, message.step);
      case "step":
        return await this.#step(message.scalars);
      case "evaluation":
        return await this.#beginEvaluation(message.table, message.wanted);
      case "turn":
        return await this.#evaluateNext();
      case "evaluated":
        return await this.#endEvaluation();
      case "digest":
        return await this.#digest();
      case "close":
        return await this.#close();
      case "leave":
        return await this.#options.host.leaveRanks();
    }
  }

  #opened(): OpenRun {
    return need(this.#run, "run that is open");
  }

  #temporary(): Promise<string> {
    this.#folder ??= temporaryFolder("rank");
    return this.#folder;
  }

  /** Removes the bundle's files, if there are any. */
  async #removeFolder(): Promise<void> {
    const folder = await this.#folder;
    this.#folder = undefined;
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  }

  async #open(message: Extract<RankMessage, { kind: "open" }>): Promise<void> {
    const { manifest, allowSpinning, tf32, kernels } = message;
    const { host, share, pulse } = this.#options;
    refuseOtherKernels(await readKernels(host), kernels);
    const reader = new LoaderThread({ format: imageFormat(manifest.spec), pulse });
    this.#closers.push(() => reader.close());
    const device = await TrainingDevice.open(host, await this.#temporary(), manifest, {
      session: { allowSpinning, provider: roundingProvider(host.provider, tf32) },
      group: { size: share.size, tell: () => undefined, stepped: () => undefined },
    });
    this.#closers.push(() => device[Symbol.asyncDispose]());
    // ONNX Runtime has read them, and a process that is killed leaves nothing behind.
    await this.#removeFolder();
    this.#run = { manifest, device, reader };
  }

  /** Reads a pack from now on, if what rank 0 packed is here; else goes on with images. */
  async #usePack({ handle, digest }: Extract<RankMessage, { kind: "pack" }>): Promise<PackRefusal> {
    const tables = [...this.#tables.values()].map(({ paths }) => paths);
    try {
      if ((await packDigest(handle, tables)) !== digest)
        return `${handle.folder} holds other images than that of rank 0`;
      await this.#opened().reader.usePacked(handle, tables);
      return null;
    } catch (error) {
      if (error instanceof MttcError) return error.message;
      throw error;
    }
  }

  async #beginEpoch(epoch: number, step: number): Promise<void> {
    await this.#leaveEpoch();
    const { manifest, device, reader } = this.#opened();
    const { share } = this.#options;
    const train = need(this.#tables.get("train"), "training table");
    // Counts, the weights of classes in them, and the weights of tasks come with every step.
    const labels = { train, classWeights: new Map<string, Float32Array>() };
    const experiment = { spec: manifest.spec };
    const sources = { experiment, manifest, labels, reader, device, share, parallel: this.#parallel() };
    const batches = new EpochBatches(sources, epoch, step, []);
    this.#epoch = { batches, upcoming: batches.next() };
    this.#epoch.upcoming.catch(() => undefined);
  }

  async #step(scalars: StepScalars): Promise<void> {
    const { device, manifest } = this.#opened();
    const epoch = need(this.#epoch, "epoch");
    const { batches } = epoch;
    for (let index = 0; index < manifest.accumulate; index++) {
      const batch = need(await epoch.upcoming, "micro-batch");
      const taken = takeMicroBatch({ device, batches, batch, index, scalars });
      epoch.upcoming = taken.next;
      await taken.result;
    }
    await device.finishStep(scalars);
  }

  async #beginEvaluation(table: TableName, wanted: WantedOutput): Promise<void> {
    await this.#leaveEpoch();
    await this.#endEvaluation();
    const { manifest, reader } = this.#opened();
    const { share } = this.#options;
    const rows = need(this.#tables.get(table), "table");
    const { batchSize } = manifest;
    const loader = evaluationBatches({ rows, batchSize, reader, parallel: this.#parallel(), share });
    this.#evaluation = { loader, wanted };
  }

  async #evaluateNext(): Promise<BatchOutputs | null> {
    const { loader, wanted } = need(this.#evaluation, "evaluation");
    const batch = await loader.next();
    if (!batch || batch.filled === 0) return null;
    const { outputs, inputBuffer } = await this.#opened().device.evaluate(batch, wanted);
    if (inputBuffer) loader.release(inputBuffer);
    return outputs;
  }

  async #digest(): Promise<string> {
    const { manifest, device } = this.#opened();
    const state = await device.readState();
    return await stateDigest(manifest.state.map(({ name }) => need(state.get(name), name).data));
  }

  #parallel(): number {
    const { num_parallel_calls: wanted } = this.#opened().manifest.spec;
    return wanted === -1 ? this.#options.parallel : wanted;
  }

  async #leaveEpoch(): Promise<void> {
    const epoch = this.#epoch;
    this.#epoch = undefined;
    await epoch?.batches[Symbol.asyncDispose]();
  }

  async #endEvaluation(): Promise<void> {
    const evaluation = this.#evaluation;
    this.#evaluation = undefined;
    await evaluation?.loader.close();
  }

  async #close(): Promise<void> {
    this.#tables.clear();
    this.#run = undefined;
    await closeAll([
      () => this.#removeFolder(),
      ...this.#closers.splice(0),
      () => this.#endEvaluation(),
      () => this.#leaveEpoch(),
    ]);
  }
}
