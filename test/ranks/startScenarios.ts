// Ranks that wait for others that never come, answer or leave: started by mpiexec with the name of a
// scenario. Each reports what it saw and comes to its end by itself, as far as it can.
import { readFileSync } from "node:fs";
import { OrtHost } from "../../runtime/ort/ortHost.ts";
import { freshAbortFlag, raiseFlag } from "../../runtime/ranks/abortFlag.ts";
import { joinRanks } from "../../runtime/ranks/joinRanks.ts";
import { Ranks } from "../../runtime/train/ranks.ts";
import { codeOf, report } from "./rankReport.ts";

/** How long is waited for one that does not come. */
const LIMIT_MS = 1500;
/** Longer than anybody is waited for. */
const LONG_MS = 60_000;
/** Rank 0's own exit code at its end. */
const END_CODE = 5;

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** What came of a call, and how long it took. */
async function outcome(call: Promise<unknown>): Promise<{ code: string; message: string; ms: number }> {
  const began = performance.now();
  const [code, message] = await call.then(
    () => ["went on", ""],
    (error: unknown) => [codeOf(error), String(error)],
  );
  return { code: code ?? "", message: message ?? "", ms: performance.now() - began };
}

async function joined(): Promise<{ host: OrtHost; abort: SharedArrayBuffer }> {
  const host = await OrtHost.start({ intraOpThreads: 1 });
  const abort = freshAbortFlag();
  await host.joinRanks({ engine: "mpi", abort });
  return { host, abort };
}

/** Megabytes that this process has mapped. */
function mappedMb(): number {
  const [, kilobytes = "0"] = /^VmSize:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return Number(kilobytes) / 1024;
}

const LARGE_MB = 64;

/** Megabytes that come back when a tensor of LARGE_MB is freed after `work` on it. */
async function freedMb(host: OrtHost, id: string, work: () => Promise<unknown>): Promise<number> {
  await host.allocate([{ id, dtype: "float32", shape: [LARGE_MB << 18] }]);
  await work();
  const before = mappedMb();
  await host.free([id]);
  return before - mappedMb();
}

/** By scenario what rank 0 does, and what the other one does in place of its part. */
const SCENARIOS: Readonly<Record<string, readonly [first: () => Promise<unknown>, other: () => unknown]>> = {
  /** Rank 1 is there and never starts MPI. */
  absent: [
    async () => await outcome(Ranks.join({ threads: 1, channel: { acceptMs: LIMIT_MS } })),
    () => undefined,
  ],

  /** Rank 1 starts MPI and does not take part in the first call. */
  silent: [
    async () => {
      const { host, abort } = await joined();
      const found = await outcome(host.broadcastBytes(Uint8Array.of(1), { abort, timeoutMs: LIMIT_MS }));
      const later = await outcome(host.broadcastBytes(Uint8Array.of(1)));
      await host.allocate([{ id: "a", dtype: "float32", shape: [1] }]);
      const read = [...(await host.read(["a"]))].length;
      await host.close();
      return { ...found, later: later.code, read };
    },
    () => joinRanks({ engine: "mpi" }),
  ],

  /** Rank 1 takes no part in a sum, which is given up: its memory stays. */
  kept: [
    async () => {
      const { host, abort } = await joined();
      const freed = await freedMb(host, "free", async () => undefined);
      let found = {};
      const kept = await freedMb(host, "summed", async () => {
        setTimeout(() => raiseFlag(abort), 300);
        found = await outcome(host.allReduce(["summed"]));
      });
      await host.close();
      return { ...found, isFreed: freed > LARGE_MB / 2, isKept: kept < LARGE_MB / 4 };
    },
    // It comes to the sum, and then goes no further.
    () => joinRanks({ engine: "mpi" }).engine.broadcast([]),
  ],

  /** Rank 1 says that it leaves and does not: rank 0 is inside MPI_Finalize. */
  staying: [
    async () => {
      const { host, abort } = await joined();
      const found = await outcome(host.leaveRanks({ abort, timeoutMs: LIMIT_MS }));
      const closing = await outcome(host.close());
      return { ...found, closing: closing.code };
    },
    () => joinRanks({ engine: "mpi" }).engine.broadcast([]),
  ],
};

const [first, other] = SCENARIOS[process.argv[2] ?? ""] ?? [];
if (process.env.PMI_RANK === "0") {
  report(0, await first?.());
  process.exitCode = END_CODE;
} else {
  other?.();
  await sleep(LONG_MS);
}
