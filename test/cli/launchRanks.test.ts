// What `mttc train --ranks` does around training, with ranks that only play: exit codes, what a terminal is
// told, signals, deaths. With MPICH where `mttc setup-mpi` has been; with Open MPI where the system has it.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { kindOf, launchArguments } from "../../runtime/ranks/mpiexecCommand.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import { MPIEXECS } from "./mpiexecs.ts";
import { runProgram } from "./runCli.ts";

const CHILD = join(PROJECT_ROOT, "dist", "test", "cli", "launchedChild.js");
const folder = mkdtempSync(join(tmpdir(), "mttc-test-launch-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("whose mpiexec it is, and what it is told", () => {
  test("is read from its version", () => {
    expect(kindOf("HYDRA build details:\n    Version:   5.0.2\n")).toBe("hydra");
    expect(kindOf("mpiexec (OpenRTE) 4.1.4\n\nReport bugs to http://www.open-mpi.org/\n")).toBe("openmpi");
    expect(kindOf("mpirun (Open MPI) 5.0.3\n")).toBe("openmpi");
    expect(kindOf("Intel(R) MPI Library for Linux* OS, Version 2021.9 Build 20230307")).toBe("other");
    expect(kindOf("")).toBe("other");
  });

  test("Open MPI is allowed to start more ranks than cores, and by root where root asks", () => {
    const plain = launchArguments("openmpi", 3, ["node", "a b.js"], false);
    expect(plain).toEqual(expect.arrayContaining(["--oversubscribe", "-n", "3"]));
    expect(plain).not.toContain("--allow-run-as-root");
    expect(plain.slice(-2)).toEqual(["node", "a b.js"]);
    expect(launchArguments("openmpi", 3, ["node"], true)).toContain("--allow-run-as-root");
    expect(launchArguments("hydra", 3, ["node"], true)).not.toContain("--allow-run-as-root");
  });
});

describe.each(MPIEXECS)("by $name", ({ isHere, env, kind }) => {
  const options = { cwd: folder, env: { ...process.env, ...env } };
  const launch = (ranks: number, ...scene: string[]) =>
    runProgram(process.execPath, [CHILD, "launch", String(ranks), ...scene], options);
  const isMpich = kind === "hydra";

  test.skipIf(!isHere)("rank 0's exit code comes out, whatever the others'", async () => {
    for (const [own, others] of [
      [0, 0],
      [2, 0],
      [2, 70],
      [130, 2],
      [0, 3],
    ] as const) {
      const { code, stdout, stderr } = await launch(2, "exit", String(own), String(others));
      expect([code, stdout, stderr]).toEqual([own, "", ""]);
    }
  });

  test.skipIf(!isHere)(
    "words come as they are; what is written arrives; no terminal is claimed",
    async () => {
      const words = ["a b", "", "$HOME", "'x'", '"'];
      const { code, stdout, stderr } = await launch(2, "look", ...words);
      expect(code).toBe(0);
      expect(stdout).toBe(`stdout false 0\n${JSON.stringify(words)}\n`);
      expect(stderr).toBe("stderr false\n");
    },
  );

  test.skipIf(!isHere || !isMpich || !hasScript())("a terminal is a terminal to rank 0", () => {
    const command = `stty cols 97; '${process.execPath}' '${CHILD}' launch 2 look`;
    const text = execFileSync("script", ["-qec", command, "/dev/null"], { ...options, encoding: "utf8" });
    expect(text).toContain("stdout true 97");
    expect(text).toContain("stderr true");
  });

  test.skipIf(!isHere).each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "%s reaches rank 0 once, whose end is the end of all",
    async (signal) => {
      const { code, stdout, stderr } = await signalled([signal], "wait");
      expect(stdout).toBe(`waiting\nrank 0 got ${signal}\n`);
      expect([code, stderr]).toEqual([130, ""]);
    },
  );

  test.skipIf(!isHere)("a second Ctrl-C ends what does not listen", async () => {
    const { code, stdout, ms } = await signalled(["SIGINT", "SIGINT"], "wait", "deaf");
    expect(stdout).toContain("SIGINT is not obeyed");
    expect(code).toBe(130);
    expect(ms).toBeLessThan(20_000);
  });

  test.skipIf(!isHere)("a signal before training ends all", async () => {
    const { code, stdout } = await signalled(["SIGTERM"], "begin");
    expect(stdout).toBe("beginning\n");
    expect(code).toBe(130);
  });

  test.skipIf(!isHere)("rank 0 that dies without a word: E_RANKS with what mpiexec says", async () => {
    const { code, stderr } = await launch(2, "die", "0");
    expect(code).toBe(2);
    expect(stderr).toMatch(/^error: rank 0 ended without a word, .*\[E_RANKS\]/);
    expect(stderr).not.toContain("====");
  });

  test.skipIf(!isHere)("another rank that dies leaves rank 0 to say so", async () => {
    const { code, stdout, stderr } = await launch(2, "die", "1");
    expect([code, stdout, stderr]).toEqual([3, "rank 0 lives\n", ""]);
  });

  test.skipIf(!isHere)("a launcher that is killed takes the ranks with it", async () => {
    const child = spawn(process.execPath, [CHILD, "launch", "2", "wait"], {
      ...options,
      stdio: ["ignore", "pipe", "inherit"],
    });
    const lines: string[] = [];
    for await (const bytes of child.stdout) {
      lines.push(String(bytes));
      if (String(bytes).includes("waiting")) child.kill("SIGKILL");
    }
    // The pipe is read to its end: whoever held it is gone.
    if (isMpich) expect(lines.join("")).toBe("waiting\nrank 0 got SIGHUP\n");
    await expect.poll(() => ranksAlive(), { timeout: 30_000 }).toBe(0);
  });

  /** Sends signals, the second well after the first, once rank 0 stands. */
  function signalled(signals: readonly NodeJS.Signals[], ...scene: string[]) {
    const child = spawn(process.execPath, [CHILD, "launch", "2", ...scene], {
      ...options,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const began = performance.now();
    let [stdout, stderr, sent] = ["", "", false];
    child.stderr.on("data", (bytes: Buffer) => {
      stderr += bytes;
    });
    child.stdout.on("data", (bytes: Buffer) => {
      stdout += bytes;
      if (sent) return;
      sent = true;
      signals.forEach((name, i) => void setTimeout(() => child.kill(name), 800 * i));
    });
    return new Promise<{ code: number | null; stdout: string; stderr: string; ms: number }>((resolve) =>
      child.on("close", (code) => resolve({ code, stdout, stderr, ms: performance.now() - began })),
    );
  }
});

test("without an mpiexec: E_MPI_LIBRARY and what brings one", async () => {
  const env = { ...process.env, XDG_CACHE_HOME: join(folder, "none"), PATH: folder, MTTC_MPI_DIR: "" };
  const { code, stderr } = await runProgram(process.execPath, [CHILD, "launch", "2", "exit"], {
    cwd: folder,
    env,
  });
  expect(code).toBe(2);
  expect(stderr).toContain("[E_MPI_LIBRARY]");
  expect(stderr).toMatch(/setup-mpi/);
});

/** Processes that play the scene "wait". */
function ranksAlive(): number {
  return readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(`${CHILD}\0wait\0`);
    } catch {
      return false;
    }
  }).length;
}

function hasScript(): boolean {
  return spawnSync("script", ["--version"]).error === undefined;
}
