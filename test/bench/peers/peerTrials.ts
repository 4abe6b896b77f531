// The measurements of `npm run bench -- peers` on one network: that both sides compute the same, which
// setting of each is fastest, and blocks of steps that alternate between two fresh processes.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { median } from "../../median.ts";
import {
  type Blocks,
  type Contestant,
  type Interleaved,
  interleave,
  pairsOf,
  winnerOf,
} from "./interleaving.ts";
import type { PeerNet } from "./peerNets.ts";
import { type BlockPair, fastest, finalists, lossesAgree, stepsFor } from "./peerNumbers.ts";
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
    const [plain] = finalists(torchTrials);
    if (plain) torchTrials.push(await this.#try({ ...plain, fused: true }, this.#torch));
    const torch = finalists(torchTrials).map((setting) => this.#contestant(setting, this.#torch));
    const mttc = finalists(mttcTrials).map((setting) => this.#contestant(setting, this.#mttc));
    const { blocks: count, blockMs, runs } = this.#effort;
    const found: Interleaved[] = [];
    for (let run = 0; run < runs; run++)
      found.push(await interleave([...torch, ...mttc], { count, blockMs }));
    const torchBlocks = blocksOf(found, 0, torch.length);
    const mttcBlocks = blocksOf(found, torch.length);
    const openMs = (trials: readonly Trial<object>[], runsOf: readonly (readonly Blocks[])[]): number =>
      median([...trials, ...runsOf.flat()].map((opened) => opened.openMs));
    return {
      ...{ net: this.#net, torchTrials, mttcTrials },
      torch: torch[torchBlocks.winner]?.setting ?? missing(),
      mttc: mttc[mttcBlocks.winner]?.setting ?? missing(),
      runs: torchBlocks.won.map((blocks, run) => pairsOf(blocks, mttcBlocks.won[run] ?? missing())),
      peakBytes: { torch: torchBlocks.peakBytes, mttc: mttcBlocks.peakBytes },
      openMs: {
        torch: openMs(torchTrials, torchBlocks.all),
        mttc: openMs(mttcTrials, mttcBlocks.all),
      },
      others: median(found.map(({ others }) => others)),
    };
  }

  #contestant<T extends object>(setting: T, side: Side<T>): Contestant<T> {
    return { setting, start: () => side(setting), request: { ...this.#request(), ...setting } };
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
}

/** Of the contestants `first` to `last` - 1, one side's: all runs, and the one that was fastest in them. */
function blocksOf(found: readonly Interleaved[], first: number, last?: number) {
  const all = found.map(({ blocks }) => blocks.slice(first, last));
  const winner = winnerOf(all);
  const won = all.map((run) => run[winner] ?? missing());
  return { all, winner, won, peakBytes: median(won.map(({ peakBytes }) => peakBytes)) };
}

function missing(): never {
  throw new Error("nothing was measured");
}
