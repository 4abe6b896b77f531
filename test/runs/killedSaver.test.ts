// Checkpoints against the outside world: a saving process killed at random moments, one under a file size
// limit, and the lock of a run directory. The child runs from dist/ (npm test builds it first).
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { acquireRunLock } from "../../runtime/files/runLock.ts";
import { loadNewestCheckpoint, saveCheckpoint } from "../../runtime/runs/checkpoints.ts";
import { contentOf, isIntact } from "./content.ts";

const CHILD = join(import.meta.dirname, "../../dist/test/runs/savingChild.js");
const BYTES = 2_000_000;
const KILLS = 30;

let run: string;
beforeEach(() => {
  expect(existsSync(CHILD), "npm run build first").toBe(true);
  run = mkdtempSync(join(tmpdir(), "mttc-killed-"));
});
afterEach(() => rmSync(run, { recursive: true, force: true }));

/** Starts a child; `said(word)` resolves with all its output once that holds `word`. */
function start(
  mode: string,
  bytes: number,
): { child: ChildProcess; said: (word: string) => Promise<string> } {
  const child = spawn(process.execPath, [CHILD, mode, run, String(bytes)], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  child.stdout.on("data", (data) => {
    output += String(data);
  });
  child.stderr.on("data", (data) => {
    output += String(data);
  });
  const said = async (word: string): Promise<string> => {
    while (!output.includes(word)) {
      if (child.exitCode !== null) throw new Error(`the child ended: ${output}`);
      await sleep(2);
    }
    return output;
  };
  return { child, said };
}

async function kill(child: ChildProcess): Promise<void> {
  const closed = new Promise((resolve) => child.once("close", resolve));
  child.kill("SIGKILL");
  await closed;
}

describe("a saving process", () => {
  it(`killed ${KILLS} times at moments of every kind leaves a whole checkpoint, the last reported or newer`, async () => {
    let reported = 0;
    for (let round = 0; round < KILLS; round++) {
      const { child, said } = start("loop", BYTES);
      await said(round === 0 ? "saved" : "locked");
      // Moments spread over what a save takes, later ones between earlier ones.
      await sleep(60 * ((round * 0.618) % 1));
      await kill(child);
      const epochs = [...(await said("locked")).matchAll(/saved (\d+)/g)].map((match) => Number(match[1]));
      reported = Math.max(reported, ...epochs);
      const loaded = await loadNewestCheckpoint(run);
      expect([loaded.warnings, isIntact(loaded, BYTES)]).toEqual([[], true]);
      expect(loaded.epoch).toBeGreaterThanOrEqual(reported);
    }
    await saveCheckpoint(run, contentOf(reported + 2, BYTES));
    expect(readdirSync(join(run, "checkpoints")).filter((name) => name.startsWith("."))).toEqual([]);
  });

  it.skipIf(process.platform === "win32")(
    "under a file size limit ends with a typed error and code 2",
    async () => {
      await saveCheckpoint(run, contentOf(1, 10));
      // The limit's signal is put back to its default, which kills, in case whoever runs the tests ignores
      // it.
      const script = 'trap - XFSZ; ulimit -f 100; exec "$0" "$@"';
      const child = spawnSync("bash", ["-c", script, process.execPath, CHILD, "once", run, "1000000"]);
      expect([child.status, child.signal]).toEqual([2, null]);
      expect(String(child.stderr)).toMatch(/epoch-0002: cannot write: .*EFBIG.* \[E_DISK\]/);
      expect(readdirSync(join(run, "checkpoints"))).toEqual(["epoch-0001"]);
      expect((await loadNewestCheckpoint(run)).epoch).toBe(1);
    },
  );
});

describe("the lock of a run directory", () => {
  it("is held by one at a time, and gone after release", async () => {
    const first = await acquireRunLock(run);
    await expect(acquireRunLock(run)).rejects.toMatchObject({ code: "E_RUN_LOCKED" });
    await first.release();
    await first.release();
    expect(readdirSync(run)).toEqual([]);
    await (await acquireRunLock(run)).release();
  });

  it("keeps a second trainer out, and is taken over when its holder was killed", async () => {
    const { child, said } = start("lock", 10);
    await said("saved");
    await expect(acquireRunLock(run)).rejects.toThrow(new RegExp(`process ${child.pid} .*E_RUN_LOCKED`, "s"));
    await kill(child);
    await (await acquireRunLock(run)).release();
    expect(readdirSync(run)).toEqual(["checkpoints"]);
  });

  it.skipIf(!existsSync("/proc/self/stat"))(
    "is taken over when another process has the number of its holder now",
    async () => {
      const { path } = await acquireRunLock(run);
      const earlier = path.replace(/[0-9a-f]{8}(?=-[0-9a-f]{16}$)/, "00000000");
      renameSync(path, earlier);
      await (await acquireRunLock(run)).release();
      expect(readdirSync(run)).toEqual([]);
    },
  );

  it("counts as held when another host holds it", async () => {
    const { path } = await acquireRunLock(run);
    renameSync(path, path.replace(/\.lock-[0-9a-f]{8}/, ".lock-00000000"));
    await expect(acquireRunLock(run)).rejects.toThrow(/on another machine/);
  });

  it("goes to exactly one of many that find a dead process's lock together", async () => {
    for (let round = 0; round < 10; round++) {
      const { path } = await acquireRunLock(run);
      renameSync(path, path.replace(/-\d+-(?=[0-9a-f]{8}-[0-9a-f]{16}$)/, `-${2 ** 30}-`));
      const all = await Promise.allSettled(Array.from({ length: 8 }, () => acquireRunLock(run)));
      const held = all.filter((one) => one.status === "fulfilled");
      expect(held).toHaveLength(1);
      for (const one of all) if (one.status === "rejected") expect(one.reason.code).toBe("E_RUN_LOCKED");
      await held[0]!.value.release();
      expect(readdirSync(run)).toEqual([]);
    }
  });
});
