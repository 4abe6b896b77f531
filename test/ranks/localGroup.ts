// Several ranks in this process, for fast tests without MPI: an ONNX Runtime thread for each, whose tensors
// are summed in this thread's memory, and messages that are cloned as a channel clones them. What training
// does with them is what it does among processes; batch norms over all ranks alone need MPI.
import { MttcError } from "../../compiler/diagnostics.ts";
import { OrtHost, type StepIo, type StepResult } from "../../runtime/ort/ortHost.ts";
import { lostRank } from "../../runtime/ranks/rankFaults.ts";
import { freshPulse } from "../../runtime/ranks/rankPulse.ts";
import { RankFollower } from "../../runtime/train/rankFollower.ts";
import type { RankMessage } from "../../runtime/train/rankMessages.ts";
import type { RankGroup } from "../../runtime/train/ranks.ts";

type Values = ReadonlyMap<string, ArrayBufferView>;

/** Where all ranks meet: each gives what it has and gets what is made of all. */
class Meeting {
  readonly #size: number;
  readonly #failed: Promise<never>;
  #given: (Values | undefined)[] = [];
  #resolve: (all: Values[]) => void = () => undefined;
  #all = this.#fresh();

  /** Once `failed` is aborted nobody waits any more. */
  constructor(size: number, failed: AbortSignal) {
    this.#size = size;
    const lost = { code: "E_RANK_LOST", message: "another rank is lost" } as const;
    this.#failed = new Promise((_, reject) => {
      failed.addEventListener("abort", () => reject(new MttcError(lost)));
    });
    this.#failed.catch(() => undefined);
  }

  #fresh(): Promise<Values[]> {
    this.#given = [];
    return new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  async all(rank: number, values: Values): Promise<Values[]> {
    const meeting = this.#all;
    this.#given[rank] = values;
    if (this.#given.filter((each) => each !== undefined).length === this.#size) {
      this.#resolve(this.#given as Values[]);
      this.#all = this.#fresh();
    }
    return await Promise.race([meeting, this.#failed]);
  }
}

/** A host whose collective calls meet those of other hosts of this process. */
function meetingHost(host: OrtHost, meeting: Meeting, rank: number): OrtHost {
  const valuesOf = async (ids: readonly string[]): Promise<Values> =>
    new Map([...(await host.read(ids))].map(([id, { data }]) => [id, data]));
  const allReduce = async (ids: readonly string[]): Promise<void> => {
    const all = await meeting.all(rank, await valuesOf(ids));
    await host.write(Object.fromEntries(ids.map((id) => [id, sumOf(all, id)])));
  };
  const collective = {
    allReduce,
    broadcastTensors: async (ids: readonly string[]) => {
      const [first] = await meeting.all(rank, await valuesOf(ids));
      if (rank > 0 && first) await host.write(Object.fromEntries(first));
    },
    leaveRanks: async () => undefined,
    step: async (binding: string, { sums = [], reads = [], ...io }: StepIo): Promise<StepResult> => {
      if (sums.length === 0) return await host.step(binding, { ...io, reads });
      const result = await host.step(binding, io);
      await allReduce(sums);
      return { ...result, outputs: await host.read(reads) };
    },
  };
  return new Proxy(host, {
    get: (target, key) => {
      const own: unknown = Reflect.get(collective, key) ?? Reflect.get(target, key);
      return typeof own === "function" ? own.bind(target) : own;
    },
  });
}

function sumOf(all: readonly Values[], id: string): Float32Array {
  const parts = all.map((values) => values.get(id) as Float32Array);
  return Float32Array.from(parts[0] ?? [], (_, i) => parts.reduce((sum, part) => sum + (part[i] ?? 0), 0));
}

/** Several ranks; `told` is what rank 0 said, kinds only. Close it. */
export interface LocalGroup extends RankGroup, AsyncDisposable {
  /** ONNX Runtime of each rank. */
  readonly hosts: readonly OrtHost[];
  readonly told: readonly RankMessage["kind"][];
  /** Slows a rank down: its handler waits so long before every message. */
  delayMs: (rank: number) => number;
  /** Changes what a follower is told. */
  revise: (message: RankMessage) => RankMessage;
  /** Hears what rank 0 begins to say, and `hold` where it must not be ended. */
  onTold: (kind: RankMessage["kind"] | "hold") => void;
  /** Loses a rank: nothing comes from it any more. */
  lose: (rank: number) => void;
}

/** A group of `size` ranks of one thread each. */
export async function openLocalGroup(size: number): Promise<LocalGroup> {
  const failure = new AbortController();
  const meeting = new Meeting(size, failure.signal);
  const hosts = await Promise.all(Array.from({ length: size }, () => OrtHost.start({ intraOpThreads: 1 })));
  const joined = hosts.map((host, rank) => meetingHost(host, meeting, rank));
  const followers = joined.slice(1).map((host, i) => {
    return new RankFollower({ host, parallel: 4, share: { rank: i + 1, size } });
  });
  const told: RankMessage["kind"][] = [];
  const gone = new Promise<never>((_, reject) => {
    failure.signal.addEventListener("abort", () => reject(failure.signal.reason));
  });
  gone.catch(() => undefined);
  const group: LocalGroup = {
    ...{ rank: 0, size, host: joined[0]!, parallel: 4, notes: [], told, hosts },
    delayMs: () => 0,
    revise: (message) => message,
    onTold: () => undefined,
    lose: (rank) => failure.abort(lostRank({ rank, host: "here" }, "has ended")),
    explained: async (error) => {
      const { aborted, reason } = failure.signal;
      return aborted && !(error instanceof MttcError && error.cause === reason) ? reason : error;
    },
    hub: {
      failed: failure.signal,
      hold: (isHeld) => isHeld && group.onTold("hold"),
      fail: (error) => failure.abort(error),
      march: () => undefined,
      pulse: freshPulse(),
      awaited: async (replies) => await replies,
      onStall: () => () => undefined,
      isStalled: false,
      abandon: () =>
        failure.abort(new MttcError({ code: "E_RANK_LOST", message: "rank 0 has failed in a step" })),
      send: async (message) => void (await deliver(message)),
      request: async <R>(message: unknown) => (await deliver(message)) as R[],
    },
    [Symbol.asyncDispose]: async () => {
      for (const follower of followers) await follower[Symbol.asyncDispose]();
      for (const host of hosts) await host.close();
    },
  };
  const deliver = async (message: unknown): Promise<unknown[]> => {
    failure.signal.throwIfAborted();
    const { kind } = message as RankMessage;
    told.push(kind);
    group.onTold(kind);
    const replies = followers.map(async (follower, i) => {
      const copy = group.revise(structuredClone(message) as RankMessage);
      const wait = group.delayMs(i + 1);
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
      return structuredClone(await follower.handle(copy));
    });
    try {
      return await Promise.race([Promise.all(replies), gone]);
    } catch (error) {
      failure.abort(error);
      throw error;
    }
  };
  return group;
}
