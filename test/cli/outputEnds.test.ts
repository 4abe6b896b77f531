// How commands end when what they write to, or where they run, goes away: a full disk, a pipe without a
// reader, a terminal that is closed, signals. Nothing is lost, and the exit code says what happened.
import { spawn } from "node:child_process";
import { existsSync, statSync, writeFileSync } from "node:fs";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CLI_MAIN, type ProgramResult, runCli, runProgram } from "./runCli.ts";
import { makeTinyData, type TinyData, tinySpec } from "./tinyData.ts";

/** Prints the exit code of a pipe's first program. */
const ITS_CODE = 'echo "$' + '{PIPESTATUS[0]}"';
let data: TinyData;

beforeAll(async () => {
  data = await makeTinyData();
  expect((await runCli(data.folder, ["train", "spec.yml", "--epochs", "1"])).code).toBe(0);
  expect((await runCli(data.folder, ["export", "run"])).code).toBe(0);
});
afterAll(() => data[Symbol.asyncDispose]());

/** Runs `mttc ...args` in a shell that does `rest` with its output. */
function shell(args: string, rest: string): Promise<ProgramResult> {
  const command = `"${process.execPath}" "${CLI_MAIN}" ${args} ${rest}`;
  return runProgram("bash", ["-c", command], { cwd: data.folder });
}

describe.skipIf(!existsSync("/dev/full"))("results that a full disk does not take are E_DISK", () => {
  test.each([
    "--help",
    "--version",
    "train --help",
    "schema",
    "schema --markdown",
    "ops --json",
    "doctor --json",
    "inspect spec.yml",
    "inspect run --json",
    "data stats spec.yml --json",
    "data check spec.yml",
    "data pack spec.yml",
    "compile spec.yml -o bundle",
    "evaluate run",
    "evaluate run --json",
    "export run",
    "predict run/export/model.onnx images",
    "train spec.yml --resume --epochs 2",
    "train spec.yml --resume --epochs 4 --json",
  ])("mttc %s", async (args) => {
    const { code, stderr } = await shell(args, "> /dev/full");
    expect(stderr).toContain("error: standard output: cannot write the results: the disk or quota is full");
    expect(stderr).toContain("[E_DISK]");
    expect(stderr).not.toContain("    at ");
    expect(code).toBe(2);
  });

  test("what was trained before is saved", async () => {
    const { stderr } = await runCli(data.folder, ["train", "spec.yml", "--resume", "--epochs", "4"]);
    expect(stderr).toMatch(/epochs trained: 3\n/);
  });

  test("what the last bytes of a disk take is not taken for all", async () => {
    // In a file that may have 1,024 bytes the first write is short, and only the next one fails.
    const { code, stderr } = await runProgram(
      "bash",
      ["-c", `trap - XFSZ; ulimit -f 1; exec "${process.execPath}" "${CLI_MAIN}" schema > short.json`],
      { cwd: data.folder },
    );
    expect([code, stderr]).toEqual([2, expect.stringContaining("[E_DISK]")]);
    expect(statSync(join(data.folder, "short.json")).size).toBe(1_024);
  });

  test("notes that a full disk does not take do not end a command", async () => {
    const { code, stdout } = await shell("train spec.yml --resume --epochs 5", "2> /dev/full");
    expect(stdout).toContain("epochs are trained");
    expect(code).toBe(0);
  });
});

test("train whose reader goes away saves, says so and ends as for Ctrl-C", async () => {
  await writeFile(join(data.folder, "piped.yml"), tinySpec({ logdir: "piped", epochs: "100000" }));
  const { stdout, stderr } = await shell("train piped.yml --json", `| head -n 1; ${ITS_CODE}`);
  expect(stdout.trimEnd().split("\n").at(-1)).toBe("130");
  expect(stderr).toContain("the reader of the output has gone: stopping");
  expect(stderr).toMatch(
    /interrupted: interrupted in epoch \d+ after step \d+ of 3; saved in .*E_INTERRUPTED/,
  );
  await resumes("piped", stderr);
});

test("train is ended as by Ctrl-C where both outputs lose their reader", async () => {
  await writeFile(join(data.folder, "mute.yml"), tinySpec({ logdir: "mute", epochs: "100000" }));
  const { stdout } = await shell("train mute.yml --json", `2>&1 | grep -m 1 '"epoch":2'; ${ITS_CODE}`);
  expect(stdout.trimEnd().split("\n").at(-1)).toBe("130");
  expect((await readdir(join(data.folder, "mute", "checkpoints"))).length).toBeGreaterThan(0);
});

test("a run that is whole when its reader goes away is a success", async () => {
  const trained = await shell("train spec.yml --resume --epochs 6", `| true; ${ITS_CODE}`);
  expect([trained.stdout, trained.stderr]).toEqual(["0\n", expect.stringContaining("epoch 6/6")]);
  expect(await readdir(join(data.folder, "run", "checkpoints"))).toContain("epoch-0006");
});

test.each(["inspect spec.yml", "ops", "evaluate run --json", "export run", "--help"])(
  "mttc %s whose reader goes away is quiet, and has done its work",
  async (args) => {
    const { stdout, stderr } = await shell(args, `| head -c 1 > /dev/null; ${ITS_CODE}`);
    expect([stdout, stderr]).toEqual(["0\n", expect.not.stringMatching(/EPIPE|reader|error/)]);
  },
);

/** A command that writes `line`, has lost its reader before the work that it then does, and ends with 3. */
function lateWork(work: string): Promise<ProgramResult> {
  const terminal = JSON.stringify(new URL("terminal.js", `file://${CLI_MAIN}`).href);
  const program = `
    const { processTerminal } = await import(${terminal});
    const terminal = processTerminal();
    for (let i = 0; i < 50; i++) {
      terminal.out("line");
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    process.exitCode = 3;
    ${work}`;
  writeFileSync(join(data.folder, "late.mjs"), program);
  return runProgram("bash", ["-c", `"${process.execPath}" late.mjs | true; ${ITS_CODE}`], {
    cwd: data.folder,
  });
}

describe("a reader that goes away before a command has begun its work", () => {
  test("does not end it as if it were done", async () => {
    const { stdout, stderr } = await lateWork('terminal.note("worked"); terminal.out("unread");');
    expect([stdout, stderr]).toEqual(["3\n", "worked\n"]);
  });

  test("stops at its beginning what has something to lose", async () => {
    const { stdout, stderr } = await lateWork(
      'terminal.onReaderGone(() => terminal.note("stopping")); terminal.note("begun");',
    );
    expect([stdout, stderr]).toEqual(["3\n", "stopping\nbegun\n"]);
  });
});

test.each([
  ["SIGHUP, twice, as from a terminal that is closed", ["SIGHUP", "SIGHUP"], 550],
  ["SIGTERM", ["SIGTERM"], 0],
  ["Ctrl-C that npx passes on", ["SIGINT", "SIGINT"], 20],
  ["SIGHUP and SIGTERM together", ["SIGHUP", "SIGTERM"], 0],
] as const)("%s saves", async (name, signals, pauseMs) => {
  const run = `signals-${name.replace(/\W+/g, "-")}`;
  await writeFile(join(data.folder, `${run}.yml`), tinySpec({ logdir: run, epochs: "100000" }));
  const child = spawn(process.execPath, [CLI_MAIN, "train", `${run}.yml`], {
    cwd: data.folder,
    stdio: ["ignore", "ignore", "pipe"],
  });
  let stderr = "";
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  child.stderr.on("data", (text) => {
    stderr += String(text);
  });
  while (!stderr.includes("epoch 2/")) await sleep(5);
  for (const signal of signals) {
    child.kill(signal);
    await sleep(pauseMs);
  }
  expect(await ended).toBe(130);
  expect(stderr).toContain("E_INTERRUPTED");
  await resumes(run, stderr);
});

/** The run that said `stderr` goes on where it was. */
async function resumes(run: string, stderr: string): Promise<void> {
  const done = /interrupted in epoch (\d+)/.exec(stderr)?.[1] ?? "";
  const { code, stderr: said } = await runCli(data.folder, [
    ...["train", `${run}.yml`, "--resume"],
    ...["--epochs", done],
  ]);
  expect(said).toContain("resumed from");
  expect(code).toBe(0);
}
