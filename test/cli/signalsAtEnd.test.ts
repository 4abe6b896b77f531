// Signals in the last moments of a command, one each millisecond until it has ended: there is always an exit
// code, and it says what became of the run: 0 that it is whole, 130 that it was interrupted and is saved.
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MPIEXECS } from "./mpiexecs.ts";
import { CLI_MAIN, runCli } from "./runCli.ts";
import { makeTinyData, type TinyData, tinySpec } from "./tinyData.ts";

let data: TinyData;
beforeAll(async () => {
  data = await makeTinyData();
});
afterAll(() => data[Symbol.asyncDispose]());

interface Ended {
  readonly code: number | null;
  readonly killedBy: NodeJS.Signals | null;
  readonly said: string;
}

/** Lets `child` be signalled again and again once what it says has `from` in it. */
async function signalledFrom(child: ChildProcess, from: string, name: NodeJS.Signals): Promise<Ended> {
  let said = "";
  let sending: NodeJS.Timeout | undefined;
  for (const stream of [child.stdout, child.stderr])
    stream?.on("data", (bytes: Buffer) => {
      said += bytes.toString("utf8");
      if (said.includes(from)) sending ??= setInterval(() => child.kill(name), 1);
    });
  child.once("exit", () => clearInterval(sending));
  return await new Promise((resolve) => {
    child.once("close", (code, killedBy) => resolve({ code, killedBy, said }));
  });
}

let runs = 0;

/** Trains two epochs under fire; what came of it is whole, or saved and to be gone on with. */
async function expectWholeOrSaved(
  args: readonly string[],
  from: string,
  name: NodeJS.Signals,
  environment: Readonly<Record<string, string>> = {},
): Promise<number | null> {
  const run = `run-${runs++}`;
  writeFileSync(join(data.folder, `${run}.yml`), tinySpec({ logdir: run }));
  const child = spawn(process.execPath, [CLI_MAIN, "train", `${run}.yml`, ...args], {
    cwd: data.folder,
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const { code, killedBy, said } = await signalledFrom(child, from, name);
  expect(killedBy, said).toBeNull();
  expect([0, 130], said).toContain(code);
  const saved = readdirSync(join(data.folder, run, "checkpoints"));
  if (code === 0) expect(saved, said).toContain("epoch-0002");
  else {
    expect(saved.length, said).toBeGreaterThan(0);
    const { code: resumed, stderr } = await runCli(data.folder, ["train", `${run}.yml`, "--resume"]);
    expect([resumed, stderr]).toEqual([0, expect.stringMatching(/resumed from|is trained already/)]);
  }
  return code;
}

test.each([
  ["SIGINT", "epoch 1/2", [130]],
  ["SIGHUP", "epoch 1/2", [130]],
  ["SIGTERM", "epoch 2/2", [0, 130]],
  ["SIGINT", "epoch 2/2", [0, 130]],
  ["SIGHUP", "epoch 2/2", [0, 130]],
  // The last line is printed.
  ["SIGINT", "mttc export", [0]],
  ["SIGHUP", "mttc export", [0]],
] as const)("%s from %j on ends with one of %j", async (name, from, codes) => {
  expect(codes).toContain(await expectWholeOrSaved([], from, name));
});

test("results that nobody reads: a signal ends the command, as interrupted", async () => {
  // More than a pipe holds; its reader takes one byte of it and tells of that.
  const command = `exec "${process.execPath}" "${CLI_MAIN}" schema > >(head -c 1 >&2; sleep 5)`;
  const child = spawn("bash", ["-c", command], { stdio: ["ignore", "ignore", "pipe"] });
  await new Promise((resolve) => child.stderr.once("data", resolve));
  await sleep(100);
  const ended = new Promise((resolve) => child.once("exit", (...how) => resolve(how)));
  child.kill("SIGINT");
  expect(await ended).toEqual([130, null]);
});

describe.each(MPIEXECS)("--ranks by $name", ({ isHere, env }) => {
  test.skipIf(!isHere).each([
    ["epoch 2/2", [0, 130]],
    ["mttc export", [0]],
  ] as const)("SIGHUP from %j on ends with one of %j", async (from, codes) => {
    expect(codes).toContain(await expectWholeOrSaved(["--ranks", "2", "--no-report"], from, "SIGHUP", env));
  });
});
