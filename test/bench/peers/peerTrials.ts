// The measurements of `npm run bench -- peers` on one network: that both sides compute the same, which
// setting of each is fastest, and blocks of steps that alternate between two fresh processes.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { median } from "../../median.ts";
import { watchOthers } from "./machineLoad.ts";
import type { PeerNet } from "./peerNets.ts";
import { type BlockPair, fastest, lossesAgree, stepsFor } from "./peerNumbers.ts";
import { PEERS_FOLDER } from "./peerPython.ts";
import { StepChild } from "./stepChild.ts";
import type { MttcSetting, OpenRequest, TorchSetting } from "./stepProtocol.ts";

/** Low, so that many steps on one batch leave losses and gradients of ordinary size. */
const LEARNING_RATE = 1e-6;
/** That of the steps that are compared: two sides that update differently are seen, and rounding is not. */
const COMPARED_RATE = 1e-5;
const COMPARED_STEPS = 3;
/** Float32 in another order of sums; what is left of it in updates. */
const LOSS_TOLERANCE = { loss: 1e-4, change: 0.15 };
/** A setting whose trial took at most so many times as long as the fastest is near it. */
const NEAR = 1.15;

/** How long things are measured. */
export interface Effort {
  readonly blocks: number;
  readonly blockMs: number;
  readonly trialMs: number;
  /** Whether settings near the fastest are tried twice. */
  readonly triesTwice: boolean;
  readonly runs: number;
}

/** Where both sides find what they need. */
export interface Places {
  readonly python: string;
  readonly models: string;
  /** Folder for files of this run. */
  readonly scratch: string;
}

export interface Trial<T> {
  readonly setting: T;
  readonly stepMs: number;
  readonly openMs: number;
}

export interface PeerResult {
  readonly net: PeerNet;
  readonly torchTrials: readonly Trial<TorchSetting>[];
  readonly mttcTrials: readonly Trial<MttcSetting>[];
  readonly torch: TorchSetting;
  readonly mttc: MttcSetting;
  /** Pairs of blocks, by runs. */
  readonly runs: readonly (readonly BlockPair[])[];
  readonly peakBytes: BlockPair;
  readonly openMs: BlockPair;
  /** Share of all cores that other processes took while blocks were measured. */
  readonly others: number;
}

type Side<T> = (setting: T) => StepChild;
type Note = (line: string) => void;

export class PeerTrials {
  readonly #net: PeerNet;
  readonly #places: Places;
  readonly #effort: Effort;
  readonly #note: Note;

  constructor(net: PeerNet, places: Places, effort: Effort, note: Note) {
    this.#net = net;
    this.#places = places;
    this.#effort = effort;
    this.#note = (line) => note(`${net.name}: ${line}`);
  }

  /** Everything of one network. Throws where the two sides do not compute the same. */
  async measure(settings: {
    torch: readonly TorchSetting[];
    mttc: readonly MttcSetting[];
  }): Promise<PeerResult> {
    await this.#compare(settings);
    const mttcTrials = await this.#tryAll(settings.mttc, this.#mttc);
    const torchTrials = await this.#tryAll(settings.torch, this.#torch);
    const [mttc, plain] = [best(mttcTrials), best(torchTrials)];
    torchTrials.push(await this.#try({ ...plain, fused: true }, this.#torch));
    const torch = best(torchTrials);
    const pairs: (readonly BlockPair[])[] = [];
    const peaks: BlockPair[] = [];
    const others: number[] = [];
    const opened: BlockPair[] = [];
    for (let run = 0; run < this.#effort.runs; run++) {
      const found = await this.#alternate({ torch, mttc });
      pairs.push(found.pairs);
      peaks.push(found.peakBytes);
      others.push(found.others);
      opened.push(found.openMs);
    }
    const medianOf = (all: readonly BlockPair[], side: keyof BlockPair): number =>
      median(all.map((pair) => pair[side]));
    const openings = (trials: readonly { openMs: number }[], side: keyof BlockPair): number =>
      median([...trials.map(({ openMs }) => openMs), ...opened.map((pair) => pair[side])]);
    return {
      ...{ net: this.#net, torchTrials, mttcTrials, torch, mttc, runs: pairs, others: median(others) },
      peakBytes: { torch: medianOf(peaks, "torch"), mttc: medianOf(peaks, "mttc") },
      openMs: { torch: openings(torchTrials, "torch"), mttc: openings(mttcTrials, "mttc") },
    };
  }

  #request(more: Partial<OpenRequest> = {}): OpenRequest {
    const { models, scratch } = this.#places;
    const state = join(scratch, `${this.#net.name}.safetensors`);
    return { net: this.#net, models, state, lr: LEARNING_RATE, dropout: true, ...more };
  }

  readonly #mttc: Side<MttcSetting> = () =>
    // What cli/mttc.cjs does for memory.
    new StepChild(process.execPath, [fileURLToPath(new URL("./mttcSteps.js", import.meta.url))], {
      MALLOC_ARENA_MAX: "2",
    });

  readonly #torch: Side<TorchSetting> = ({ threads, wait }) =>
    new StepChild(this.#places.python, ["-W", "ignore", join(PEERS_FOLDER, "peer_steps.py")], {
      OMP_NUM_THREADS: String(threads),
      OMP_WAIT_POLICY: wait,
      ...(wait === "active" ? { GOMP_SPINCOUNT: "infinity" } : {}),
    });

  /** Some steps of both from the same weights, without dropout: the same losses, or they are not peers. */
  async #compare(settings: { torch: readonly TorchSetting[]; mttc: readonly MttcSetting[] }): Promise<void> {
    const request = this.#request({ lr: COMPARED_RATE, dropout: false });
    const [torchSetting, mttcSetting] = [settings.torch[0], settings.mttc[0]];
    if (!torchSetting || !mttcSetting) throw new Error("no settings to try");
    {
      await using initial = this.#mttc(mttcSetting);
      await initial.ask({ ...request, command: "initial" });
    }
    const lossesOf = async (child: StepChild, setting: object) => {
      const { losses } = await child.open({ ...request, ...setting });
      return [losses, ...(await child.steps(COMPARED_STEPS - 1)).losses];
    };
    await using mttc = this.#mttc(mttcSetting);
    const ours = await lossesOf(mttc, mttcSetting);
    await using torch = this.#torch(torchSetting);
    const theirs = await lossesOf(torch, torchSetting);
    if (!lossesAgree(ours, theirs, LOSS_TOLERANCE))
      throw new Error(
        `${this.#net.name}: not the same network: losses ${JSON.stringify(ours)} and PyTorch's ${JSON.stringify(theirs)}`,
      );
  }

  /** Each setting in a process of its own; those near the fastest a second time. */
  async #tryAll<T extends object>(settings: readonly T[], side: Side<T>): Promise<Trial<T>[]> {
    const trials: Trial<T>[] = [];
    for (const setting of settings) trials.push(await this.#try(setting, side));
    if (!this.#effort.triesTwice) return trials;
    const limit = NEAR * (fastest(trials)?.stepMs ?? 0);
    const near = trials.filter(({ stepMs }) => stepMs <= limit);
    if (near.length > 1) for (const { setting } of near) trials.push(await this.#try(setting, side));
    return trials;
  }

  async #try<T extends object>(setting: T, side: Side<T>): Promise<Trial<T>> {
    await using child = side(setting);
    const { openMs } = await child.open({ ...this.#request(), ...setting });
    const { milliseconds } = await child.steps(2);
    const count = stepsFor(this.#effort.trialMs, milliseconds.at(-1) ?? 1);
    const stepMs = median((await child.steps(count)).milliseconds);
    this.#note(`${Object.values(setting).join(" ")}: ${stepMs.toFixed(1)} ms, open ${openMs.toFixed(0)} ms`);
    return { setting, stepMs, openMs };
  }

  /** Two fresh processes, and blocks of their steps in turn, each side first in every other pair. */
  async #alternate({ torch, mttc }: { torch: TorchSetting; mttc: MttcSetting }) {
    const { blocks, blockMs } = this.#effort;
    await using ours = this.#mttc(mttc);
    const { openMs: mttcOpen } = await ours.open({ ...this.#request(), ...mttc });
    await using theirs = this.#torch(torch);
    const { openMs: torchOpen } = await theirs.open({ ...this.#request(), ...torch });
    const sides = [
      { name: "mttc", child: ours, count: await countFor(ours, blockMs) },
      { name: "torch", child: theirs, count: await countFor(theirs, blockMs) },
    ] as const;
    const others = watchOthers([ours.pid, theirs.pid]);
    const pairs: BlockPair[] = [];
    for (let block = 0; block < blocks; block++) {
      const times = { torch: Number.NaN, mttc: Number.NaN };
      for (const { name, child, count } of block % 2 === 0 ? sides : sides.toReversed()) {
        // The first step brings back into the caches what the other side took.
        const { milliseconds } = await child.steps(count + 1);
        times[name] = median(milliseconds.slice(1));
      }
      pairs.push(times);
    }
    const share = others();
    const peakBytes = { torch: await theirs.peakBytes(), mttc: await ours.peakBytes() };
    return { pairs, peakBytes, openMs: { torch: torchOpen, mttc: mttcOpen }, others: share };
  }
}

async function countFor(child: StepChild, blockMs: number): Promise<number> {
  const { milliseconds } = await child.steps(3);
  return stepsFor(blockMs, median(milliseconds));
}

function best<T>(trials: readonly Trial<T>[]): T {
  const trial = fastest(trials);
  if (!trial) throw new Error("no settings were tried");
  return trial.setting;
}
