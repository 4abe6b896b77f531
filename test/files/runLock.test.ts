// The lock of a run directory between machines and containers, which cannot see each other's processes: signs
// of life, and what becomes of a holder without one. (Processes of one machine: killedSaver.test.ts.)
import { spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  acquireRunLock,
  assertRunLock,
  type LockTiming,
  PACKING,
  refuseLocked,
} from "../../runtime/files/runLock.ts";

const CHILD = join(import.meta.dirname, "../../dist/test/runs/savingChild.js");
const MINUTE = 60_000;
const QUICK: LockTiming = { beatMs: 20, staleMs: 10 * MINUTE };

let run: string;
beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), "mttc-lock-"));
});
afterEach(() => rmSync(run, { recursive: true, force: true }));

/** Turns a held lock into one of a process elsewhere, whose last sign of life is `minutes` old. */
function moveAway(path: string, minutes: number): string {
  const elsewhere = path.replace(/\.lock-[0-9a-f]{8}/, ".lock-00000000");
  renameSync(path, elsewhere);
  const at = new Date(Date.now() - minutes * MINUTE);
  utimesSync(elsewhere, at, at);
  return elsewhere;
}

describe("a lock from another machine or container", () => {
  it("is held as long as there are signs of life, and says when it is not", async () => {
    moveAway((await acquireRunLock(run)).path, 4);
    const error = await acquireRunLock(run).catch((thrown: Error) => thrown);
    expect(String(error)).toMatch(
      new RegExp(
        `process ${process.pid} on another machine or in another container \\(${hostname()}\\) trains`,
      ),
    );
    expect(String(error)).toMatch(/its last sign of life is 2\d\d s old, after 10 minutes it counts as gone/);
    expect(readdirSync(run)).toHaveLength(1);
  });

  it("is taken over when they stay out for ten minutes, which is said", async () => {
    moveAway((await acquireRunLock(run)).path, 12);
    const lock = await acquireRunLock(run);
    expect(lock.notes).toEqual([
      expect.stringMatching(/held this folder, has given no sign of life for 12 minutes: .* is taken over$/),
    ]);
    await lock.release();
    expect(readdirSync(run)).toEqual([]);
  });

  it("of a version that gives no signs of life is held for ever", async () => {
    writeFileSync(moveAway((await acquireRunLock(run)).path, 0), "");
    const [name = ""] = readdirSync(run);
    utimesSync(join(run, name), new Date(0), new Date(0));
    await expect(acquireRunLock(run)).rejects.toThrow(/another machine.*E_RUN_LOCKED/s);
  });

  it("goes to exactly one of many that find it stale together", async () => {
    for (let round = 0; round < 5; round++) {
      moveAway((await acquireRunLock(run)).path, 60);
      const all = await Promise.allSettled(Array.from({ length: 8 }, () => acquireRunLock(run)));
      const held = all.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
      expect(held).toHaveLength(1);
      await held[0]?.release();
      expect(readdirSync(run)).toEqual([]);
    }
  });

  it("is told of before anything is locked, unless it is stale by either clock", async () => {
    const { path, release } = await acquireRunLock(run);
    await expect(refuseLocked(run)).rejects.toThrow("E_RUN_LOCKED");
    const elsewhere = moveAway(path, 1);
    await expect(refuseLocked(run)).rejects.toThrow(
      /another container .*its last sign of life is \d+ s old/s,
    );
    for (const minutes of [12, -12]) {
      utimesSync(elsewhere, new Date(), new Date(Date.now() - minutes * MINUTE));
      await refuseLocked(run);
    }
    await release();
  });

  it("of packing says so too", async () => {
    moveAway((await acquireRunLock(run, PACKING)).path, 1);
    await expect(acquireRunLock(run, PACKING)).rejects.toThrow(/container .* writes packed records/);
  });
});

const UNSHARE = ["--pid", "--fork", "--mount-proc"];

describe.skipIf(spawnSync("unshare", [...UNSHARE, "true"]).status !== 0)(
  "two containers of one host name",
  () => {
    it("keep each other out, though both are process 1", async () => {
      const locked = startIn(run, "lock");
      await locked.said("saved");
      const second = startIn(run, "once");
      expect(await second.ended).toBe(2);
      expect(second.output()).toMatch(
        /process 1 on another machine or in another container \(.*E_RUN_LOCKED/s,
      );
      locked.child.kill("SIGKILL");
      await locked.ended;
    });
  },
);

/** The saving child in a process namespace of its own, as in a container. */
function startIn(folder: string, mode: string) {
  const args = [...UNSHARE, "--kill-child", process.execPath, CHILD, mode, folder, "10"];
  const child = spawn("unshare", args, { stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (data) => {
      text += String(data);
    });
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  const said = async (word: string): Promise<void> => {
    while (!text.includes(word)) {
      if (child.exitCode !== null) throw new Error(`the child ended: ${text}`);
      await sleep(5);
    }
  };
  return { child, ended, said, output: (): string => text };
}

describe("the holder of a lock", () => {
  it("gives signs of life until it is released", async () => {
    const lock = await acquireRunLock(run, undefined, QUICK);
    expect(JSON.parse(readFileSync(lock.path, "utf8"))).toMatchObject({ host: hostname(), pid: process.pid });
    const text = readFileSync(lock.path, "utf8");
    utimesSync(lock.path, new Date(0), new Date(0));
    while (statSync(lock.path).mtimeMs === 0) await sleep(5);
    expect(readFileSync(lock.path, "utf8")).toBe(text);
    await lock.release();
    await sleep(3 * QUICK.beatMs);
    expect(readdirSync(run)).toEqual([]);
  });

  it("that was taken over while it slept is refused before it saves, and does not lock again", async () => {
    const lock = await acquireRunLock(run, undefined, QUICK);
    await assertRunLock(run);
    rmSync(lock.path);
    await sleep(3 * QUICK.beatMs);
    expect(readdirSync(run)).toEqual([]);
    await expect(assertRunLock(run)).rejects.toThrow(
      /no longer has the lock: its file was deleted.*E_RUN_LOCKED/s,
    );
    await lock.release();
  });

  it("of another process is told from one that was deleted, and from a folder that is gone", async () => {
    const lock = await acquireRunLock(run, undefined, QUICK);
    moveAway(lock.path, 0);
    await expect(assertRunLock(run)).rejects.toThrow(
      /no longer has the lock: .*another one took over \[E_RUN/,
    );
    await lock.release();
    rmSync(run, { recursive: true });
    await expect(assertRunLock(run)).rejects.toMatchObject({ code: "E_FILE" });
  });

  it.skipIf(!existsSync("/proc/self/ns/pid"))(
    "is known by boot and process namespace, not by its host's name",
    async () => {
      const { createHash } = await import("node:crypto");
      const hash = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 8);
      const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8");
      const { path, release } = await acquireRunLock(run);
      expect(path).toContain(`.lock-${hash(`${boot} ${readlinkSync("/proc/self/ns/pid")}`)}-`);
      expect(path).not.toContain(hash(hostname()));
      await release();
    },
  );

  it("of an earlier version on this machine, killed, is taken over", async () => {
    const { createHash } = await import("node:crypto");
    const host = createHash("sha256").update(hostname()).digest("hex").slice(0, 8);
    writeFileSync(join(run, `.lock-${host}-${2 ** 30}-00000000-0123456789abcdef`), "");
    const lock = await acquireRunLock(run);
    expect(lock.notes).toEqual([]);
    await lock.release();
    expect(readdirSync(run)).toEqual([]);
  });
});
