// The processes that train one run together. Each joins; those after the first follow until rank 0 says how
// it ends. Rank 0 gives its Ranks to a MultiTaskTrainer, which then trains with all of them:
//   const ranks = await Ranks.join();
//   if (ranks.rank > 0) await ranks.follow();
//   else { await using leading = ranks; await new MultiTaskTrainer(options, { ranks }).fit(10); }
import { InternalError, MttcError } from "../../compiler/diagnostics.ts";
import { visibleDevices } from "../ort/cudaDriver.ts";
import { OrtHost } from "../ort/ortHost.ts";
import { deviceOfRank } from "../ort/rankDevice.ts";
import { ortOptions, type RuntimeOptions } from "../ort/runtimeOptions.ts";
import { CHANNEL_DEFAULTS, type ChannelOptions, LOOPBACK, type RankEnd } from "../ranks/channelProtocol.ts";
import { RANKS_END } from "../ranks/mpiexecCommand.ts";
import type { EngineRequest, JoinedPlace, RankPlace } from "../ranks/rankEngine.ts";
import {
  type RankEnvironment,
  rankEnvironment,
  stallLimitMs,
  startWaitMs,
} from "../ranks/rankEnvironment.ts";
import { RankHub } from "../ranks/rankHub.ts";
import { RankLink } from "../ranks/rankLink.ts";
import { RankFollower } from "./rankFollower.ts";
import type { LeadingHub } from "./rankLeader.ts";
import { phaseOf, type RankMessage } from "./rankMessages.ts";

/** Images that are read at a time for each thread. */
const IMAGES_PER_THREAD = 4;
/** How long the reason of a collective that was ended may be on its way. */
const REASON_MS = 5000;

/** Codes of calls that were ended or failed because another rank did: over a network MPI notices it, too. */
const VAGUE: ReadonlySet<string> = new Set(["E_RANK_LOST", "E_MPI"]);

/** How a process joins. */
export interface JoinOptions extends Omit<RuntimeOptions, "baseDirectory"> {
  /** What sums gradients: the spec's `strategy`; default: auto. */
  readonly strategy?: EngineRequest | undefined;
  /** MPI's library, a file or its folder; default: what `mttc doctor` shows. */
  readonly library?: string | undefined;
  readonly channel?: Partial<ChannelOptions> | undefined;
}

/** What of a group trainers use. */
export interface RankGroup extends Pick<RankPlace, "rank" | "size"> {
  readonly host: OrtHost;
  readonly hub: LeadingHub & Pick<RankHub, "hold" | "pulse">;
  /** Images read at a time where the spec leaves it open. */
  readonly parallel: number;
  /** What is to be said once, when training begins. */
  readonly notes: readonly string[];
  /** The fault behind an error: why a collective was ended. */
  explained(error: unknown): Promise<unknown>;
}

export class Ranks implements RankGroup, AsyncDisposable {
  readonly place: JoinedPlace;
  readonly host: OrtHost;
  /** Threads of ONNX Runtime: this rank's share of the machine's. */
  readonly threads: number;
  readonly notes: readonly string[];
  readonly #side: RankHub | RankLink;
  /** Why this rank's device could not be opened. */
  readonly #refusal: unknown;
  #closing: Promise<void> | undefined;

  private constructor(place: JoinedPlace, host: OrtHost, side: RankHub | RankLink, parts: Parts) {
    this.place = place;
    this.host = host;
    this.threads = parts.threads ?? place.cores;
    // Whoever asks for fewer threads wants the other cores for something else.
    const isEnough = parts.threads !== undefined && parts.threads <= place.cores;
    this.notes = place.coresNote === undefined || isEnough ? [] : [place.coresNote];
    this.#side = side;
    this.#refusal = parts.refusal;
  }

  /**
   * Joins the processes that a launcher (mpiexec, srun) started together; returns when all of them have come.
   * E_RANKS without a launcher, or where they do not find each other; E_RANK_LOST where one does not come
   * within `acceptMs` of the channel (else MTTC_RANKS_WAIT); E_MPI_LIBRARY, E_MPI; as OrtHost.start. How long
   * one may keep the others waiting later on is the channel's `giveUpMs` (else MTTC_RANKS_STALL).
   */
  static async join(options: JoinOptions = {}, environment = process.env): Promise<Ranks> {
    const launched = rankEnvironment(environment);
    if (!launched) throw notLaunched();
    const { strategy: engine = "auto", library } = options;
    const limits = { ...startWaitMs(environment), ...stallLimitMs(environment) };
    const own = environment[RANKS_END] ? { host: LOOPBACK } : {};
    const channel = { ...CHANNEL_DEFAULTS, ...limits, ...own, ...options.channel };
    const { host, refusal } = await startHost(options, launched);
    const parts = { engine, library, channel, threads: options.threads, refusal };
    try {
      if (launched.rank > 0) return await Ranks.#enter(host, parts);
      const ranks = await Ranks.#lead(host, parts);
      if (refusal === undefined) return ranks;
      await ranks.close({ kind: "failed", error: refusal });
      throw refusal;
    } catch (error) {
      await host.close();
      throw refusal ?? error;
    }
  }

  static async #lead(host: OrtHost, parts: Parts): Promise<Ranks> {
    const { engine, library, channel } = parts;
    const hub = await RankHub.open(channel);
    try {
      const limit = { abort: hub.abort, timeoutMs: channel.acceptMs };
      const place = await host.joinRanks({ engine, library, pulse: hub.pulse, ...limit });
      await host.broadcastBytes(new TextEncoder().encode(hub.address), limit);
      await hub.accepted(place.size);
      return new Ranks(place, host, hub, parts);
    } catch (error) {
      await hub.close({ kind: "failed", error });
      throw error;
    }
  }

  static async #enter(host: OrtHost, parts: Parts): Promise<Ranks> {
    const { engine, library, channel } = parts;
    const link = new RankLink(channel);
    try {
      const limit = { abort: link.abort, timeoutMs: channel.acceptMs };
      const place = await host.joinRanks({ engine, library, pulse: link.pulse, ...limit });
      const address = new TextDecoder().decode(await host.broadcastBytes(new Uint8Array(), limit));
      await link.connect(address, { rank: place.rank, size: place.size });
      return new Ranks(place, host, link, parts);
    } catch (error) {
      await link.close();
      throw error;
    }
  }

  get rank(): number {
    return this.place.rank;
  }

  get size(): number {
    return this.place.size;
  }

  get parallel(): number {
    return IMAGES_PER_THREAD * this.threads;
  }

  /** Rank 0's connection to the others. */
  get hub(): RankHub {
    if (this.#side instanceof RankHub) return this.#side;
    throw new InternalError("a rank that follows has no followers");
  }

  /**
   * Follows rank 0 until it says how the run ends, and leaves. Rejects with E_RANK_LOST where rank 0 is lost;
   * a run that failed is for rank 0 to report, and returned.
   */
  async follow(): Promise<RankEnd> {
    const link = this.#side;
    if (!(link instanceof RankLink)) throw new InternalError("rank 0 follows nobody");
    const { host, parallel, rank, size } = this;
    const follower = new RankFollower({ host, parallel, share: { rank, size }, pulse: link.pulse });
    try {
      return await link.serve((message) => {
        if (this.#refusal !== undefined) throw this.#refusal;
        link.march(phaseOf(message as RankMessage));
        return follower.handle(message as RankMessage);
      });
    } finally {
      await follower[Symbol.asyncDispose]().catch(() => undefined);
      await host.close();
      await link.close();
    }
  }

  /** Why a collective ended, where that is what the error tells; else the error. */
  async explained(error: unknown): Promise<unknown> {
    if (!(error instanceof MttcError) || !VAGUE.has(error.code)) return error;
    const { failed } = this.#side;
    // It says more already.
    if (failed.aborted && error.cause === failed.reason) return error;
    if (!failed.aborted)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, REASON_MS);
        failed.addEventListener("abort", () => {
          clearTimeout(timer);
          resolve();
        });
      });
    return failed.aborted ? failed.reason : error;
  }

  /** Rank 0: ends the run for all ranks, and leaves. May be repeated. */
  close(end: RankEnd = { kind: "done" }): Promise<void> {
    this.#closing ??= this.#close(end);
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(end: RankEnd): Promise<void> {
    const { hub, host } = this;
    if (end.kind === "failed") hub.abandon();
    else if (!hub.failed.aborted) {
      // All at once: leaving MPI waits for the others.
      const left = [hub.request({ kind: "leave" } satisfies RankMessage), host.leaveRanks()];
      // The run is at its end and saved: who is lost now is no fault of it.
      await Promise.all(left).catch((error: unknown) => {
        if (!(error instanceof MttcError)) throw error;
      });
    }
    // Before the channel, whose heartbeat guards it.
    await host.close();
    await hub.close(end);
  }
}

/** What a rank joins with. */
type Parts = Pick<JoinOptions, "library" | "threads"> & {
  readonly channel: ChannelOptions;
  readonly engine: EngineRequest;
  /** Why its device could not be opened. */
  readonly refusal: unknown;
};

/**
 * ONNX Runtime on the device of this rank; on the CPU, of the package, where that cannot be opened: the
 * others wait for this rank already, and are told why once they have met.
 */
async function startHost(
  options: JoinOptions,
  { local }: RankEnvironment,
): Promise<{ readonly host: OrtHost; readonly refusal: unknown }> {
  const { provider: asked = { kind: "cpu" }, ...rest } = ortOptions(options, false);
  try {
    const provider = deviceOfRank(asked, local?.rank ?? 0, () => visibleDevices().length);
    return { host: await OrtHost.start({ ...rest, provider }), refusal: undefined };
  } catch (refusal) {
    const host = await OrtHost.start({ provider: { kind: "cpu" } }).catch(() => {
      throw refusal;
    });
    return { host, refusal };
  }
}

function notLaunched(): MttcError {
  return new MttcError({
    code: "E_RANKS",
    message: "this process was started alone",
    hint: "start several by a launcher: mpiexec -n 2 node train.js",
  });
}
