// What each rank does in a test of the data plane: started by mpiexec as many times as the test says, with
// the name of one scenario. Every rank checks every element by itself and reports what it found.
import { spawn } from "node:child_process";
import { OrtHost, type RankPlace } from "../../runtime/ort/ortHost.ts";
import { freshAbortFlag, raiseFlag } from "../../runtime/ranks/abortFlag.ts";
import { endHard } from "../../runtime/ranks/hardEnd.ts";
import { codeOf, element, report, wrongCopies, wrongSums } from "./rankReport.ts";

interface Scene {
  readonly host: OrtHost;
  readonly place: RankPlace;
  readonly abort: SharedArrayBuffer;
}

function filled(length: number, rank: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => element(rank, i));
}

async function allocate(host: OrtHost, sizes: readonly number[]): Promise<string[]> {
  const ids = sizes.map((size, i) => `t${i}.${size}`);
  await host.allocate(ids.map((id, i) => ({ id, dtype: "float32", shape: [sizes[i] ?? 0] })));
  return ids;
}

/** Elements that are not the sum over all ranks. */
async function wrongIn(host: OrtHost, ids: readonly string[], size: number): Promise<number> {
  const tensors = [...(await host.read(ids)).values()];
  return tensors.reduce((wrong, { data }) => wrong + wrongSums(data as Float32Array, size), 0);
}

async function sumOf(scene: Scene, sizes: readonly number[]): Promise<number> {
  const { host, place } = scene;
  const ids = await allocate(host, sizes);
  await host.write(Object.fromEntries(ids.map((id, i) => [id, filled(sizes[i] ?? 0, place.rank)])));
  await host.allReduce(ids);
  const wrong = await wrongIn(host, ids, place.size);
  await host.free(ids);
  return wrong;
}

const FOUR_MB = 2 ** 20;

async function loseRank({ host, place, abort }: Scene, how: "SIGKILL" | "SIGSTOP"): Promise<unknown> {
  const ids = await allocate(host, [100]);
  await host.write({ [ids[0] ?? ""]: filled(100, place.rank) });
  if (place.rank === 1) {
    // Nobody else ends a process that is stopped.
    const ending = ["-c", `sleep 3; kill -KILL ${process.pid}`];
    if (how === "SIGSTOP") spawn("sh", ending, { detached: true, stdio: "ignore" }).unref();
    process.kill(process.pid, how);
  }
  const started = performance.now();
  const pending = host.allReduce(ids).then(
    () => "summed",
    (error: unknown) => codeOf(error),
  );
  setTimeout(() => raiseFlag(abort), 300);
  const codes = [await pending];
  const waitedMs = performance.now() - started;
  for (const later of [() => host.allReduce(ids), () => host.broadcastBytes(new Uint8Array(1))])
    codes.push(await later().then(() => "went on", codeOf));
  await host.leaveRanks();
  const read = (await host.read(ids)).get(ids[0] ?? "")?.data;
  return { codes, waitedMs, isThere: read?.[99] === element(place.rank, 99) };
}

const SCENARIOS: Readonly<Record<string, (scene: Scene) => Promise<unknown>>> = {
  /** Odd sizes, none at all, many small ones, sizes about a piece and about what is packed. */
  async sums(scene) {
    const small = Array.from({ length: 200 }, (_, i) => (i % 37) + 1);
    const sizes = [
      1,
      0,
      3,
      16_383,
      16_384,
      16_385,
      FOUR_MB - 1,
      FOUR_MB,
      FOUR_MB + 1,
      0,
      ...small,
      2_500_001,
    ];
    const nothing = await sumOf(scene, []);
    const zeros = await sumOf(scene, [0, 0]);
    return { wrong: await sumOf(scene, sizes), nothing, zeros, place: scene.place };
  },

  async large(scene) {
    return { wrong: await sumOf(scene, [25_000_000]) };
  },

  /** Sums whose value depends on the order of additions have the same bits on all ranks. */
  async bits({ host, place }) {
    const sizes = [1000, 70_000];
    const ids = await allocate(host, sizes);
    const data = sizes.map((size) =>
      Float32Array.from({ length: size }, (_, i) => Math.sin(i + 1) * 10 ** (place.rank * 3 - (i % 5))),
    );
    await host.write(Object.fromEntries(ids.map((id, i) => [id, data[i] ?? new Float32Array()])));
    await host.allReduce(ids);
    const found = await host.read(ids);
    const bits = [...found.values()].map(({ data }) => Buffer.from(data.buffer).toString("base64"));
    return { bits };
  },

  async broadcasts({ host, place }) {
    await host.allocate([
      { id: "f", dtype: "float32", shape: [2_000_003] },
      { id: "i", dtype: "int64", shape: [5] },
      { id: "b", dtype: "bool", shape: [7] },
      { id: "n", dtype: "float32", shape: [0] },
    ]);
    await host.write({
      f: filled(2_000_003, place.rank),
      i: BigInt64Array.from([1n, 2n, 3n, 4n, 5n], (n) => n * BigInt(place.rank + 1)),
      b: new Uint8Array(7).fill(place.rank === 0 ? 1 : 0),
    });
    await host.broadcastTensors(["f", "i", "b", "n"]);
    const tensors = await host.read(["f", "i", "b"]);
    const wrong = wrongCopies(tensors.get("f")?.data as Float32Array);
    const texts: string[] = [];
    for (const text of ["from rank 0", "", "x".repeat(5_000_000)]) {
      const own = place.rank === 0 ? text : "another rank's, and longer than what rank 0 has";
      const got = new TextDecoder().decode(await host.broadcastBytes(new TextEncoder().encode(own)));
      texts.push(got.length > 100 ? `${got.length} of ${new Set(got).size}` : got);
    }
    const others = [...(tensors.get("i")?.data ?? []), ...(tensors.get("b")?.data ?? [])].join();
    return { wrong, texts, others };
  },

  /** One rank comes late to every call: the others wait, and nothing is mixed up. */
  async late({ host, place }) {
    const ids = await allocate(host, [100_000, 3]);
    let wrong = 0;
    for (let round = 0; round < 5; round++) {
      if (place.rank === round % place.size) await new Promise((resolve) => setTimeout(resolve, 40));
      await host.write({
        [ids[0] ?? ""]: filled(100_000, place.rank),
        [ids[1] ?? ""]: filled(3, place.rank),
      });
      await host.allReduce(ids);
      wrong += await wrongIn(host, ids, place.size);
    }
    return { wrong };
  },

  /** Rank 1 never comes; the flag ends the wait, and what is on this rank is still there. */
  lost: (scene) => loseRank(scene, "SIGKILL"),

  /** Rank 1 does not come either, though its process is there. */
  stopped: (scene) => loseRank(scene, "SIGSTOP"),

  async misuse({ host }) {
    await host.allocate([{ id: "i", dtype: "int64", shape: [2] }]);
    const sum = await host.allReduce(["i"]).catch((error: unknown) => String(error));
    const unknown = await host.broadcastTensors(["j"]).catch((error: unknown) => String(error));
    return { sum, unknown };
  },
};

/** Rank 1 never comes to joinRanks. */
async function meetNobody(): Promise<void> {
  if (process.env.PMI_RANK === "1") {
    await new Promise((resolve) => setTimeout(resolve, 8000));
    return;
  }
  const host = await OrtHost.start({ intraOpThreads: 1 });
  const joining = host.joinRanks({ engine: "mpi", timeoutMs: 1500 });
  report(0, { code: await joining.then(() => "joined", codeOf), later: await codeOfLater(host) });
  endHard("given up");
}

function codeOfLater(host: OrtHost): Promise<string> {
  return host.leaveRanks().then(() => "left", codeOf);
}

async function main(): Promise<void> {
  const [name = "", library] = process.argv.slice(2);
  if (name === "absent") return await meetNobody();
  const scenario = SCENARIOS[name];
  if (scenario === undefined) throw new RangeError(`no scenario ${name}`);
  const host = await OrtHost.start({ intraOpThreads: 1 });
  const abort = freshAbortFlag();
  let rank = Number(process.env.PMI_RANK ?? process.env.OMPI_COMM_WORLD_RANK ?? 0);
  try {
    const place = await host.joinRanks({ engine: "mpi", library, abort });
    rank = place.rank;
    report(rank, await scenario({ host, place, abort }));
    await host.leaveRanks();
  } catch (error) {
    report(rank, { error: String(error), code: codeOf(error) });
    process.exitCode = 3;
  }
  await host.close();
}

await main();
