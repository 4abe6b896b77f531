// `mttc train` as several real processes, started by --ranks (MPICH, Open MPI) or by mpiexec, where they are: it
// looks like one process to the user, and writes the run that one process writes.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mpiFolder } from "../../runtime/ranks/mpiFolder.ts";
import { MICRO_BATCHES } from "../tolerances.ts";
import { MPICH, MPIEXECS } from "./mpiexecs.ts";
import { CLI_MAIN, runCli, runProgram } from "./runCli.ts";
import { makeTinyData, type TinyData, tinySpec } from "./tinyData.ts";

const { env } = MPICH;
let data: TinyData;
beforeAll(async () => {
  data = await makeTinyData();
});
afterAll(async () => await data[Symbol.asyncDispose]());

/** A spec of the tiny data in a file of its own. */
function specFile(name: string, changes: Readonly<Record<string, string>>): string {
  writeFileSync(join(data.folder, `${name}.yml`), tinySpec({ logdir: name, ...changes }));
  return `${name}.yml`;
}

/** The command line as two ranks of mpiexec. */
function byMpiexec(...args: string[]) {
  const options = { cwd: data.folder, env: { ...process.env, ...env } };
  return runProgram(
    join(mpiFolder(), "bin", "mpiexec"),
    ["-n", "2", process.execPath, CLI_MAIN, ...args],
    options,
  );
}

interface LoggedEpoch {
  readonly epoch: number;
  readonly trainLoss: Readonly<Record<string, number>>;
}

function logOf(run: string): readonly LoggedEpoch[] {
  const text = readFileSync(join(data.folder, run, "log.jsonl"), "utf8");
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as LoggedEpoch);
}

test.each(["0", "-1", "1.5", "two"])("--ranks %s is refused with the range", async (ranks) => {
  const { code, stderr } = await runCli(data.folder, ["train", "spec.yml", `--ranks=${ranks}`]);
  expect(code).toBe(2);
  expect(stderr).toContain("expected an integer of at least 1");
});

test("--ranks 1 is this process, and needs no mpiexec", async () => {
  const bare = { XDG_CACHE_HOME: join(data.folder, "none"), MTTC_MPI_DIR: "", PATH: data.folder };
  const args = ["train", specFile("single", {}), "--ranks", "1", "--ep", "cpu", "--no-report"];
  const { code, stderr } = await runCli(data.folder, args, { env: bare });
  expect([code, stderr]).toEqual([0, expect.stringContaining("epoch 2/2")]);
});

test("without an mpiexec --ranks 2 says what brings one", async () => {
  const bare = { XDG_CACHE_HOME: join(data.folder, "none"), MTTC_MPI_DIR: "", PATH: data.folder };
  const args = ["train", "spec.yml", "--ranks", "2"];
  const { code, stderr } = await runCli(data.folder, args, { env: bare });
  expect([code, stderr]).toEqual([2, expect.stringContaining("[E_MPI_LIBRARY]")]);
  expect(existsSync(join(data.folder, "run"))).toBe(false);
});

test("a faulty spec is refused before anything is started, and --find-lr with several", async () => {
  const faulty = await runCli(data.folder, ["train", "absent.yml", "--ranks", "2"], { env });
  expect([faulty.code, faulty.stderr]).toEqual([2, expect.stringContaining("absent.yml")]);
  const rates = await runCli(data.folder, ["train", "spec.yml", "--ranks", "2", "--find-lr"], { env });
  expect([rates.code, rates.stderr]).toEqual([2, expect.stringContaining("--find-lr")]);
});

test("variables of a launcher that do not fit are refused by train alone", async () => {
  const half = { PMI_RANK: "1" };
  const train = await runCli(data.folder, ["train", "spec.yml"], { env: half });
  expect([train.code, train.stderr]).toEqual([2, expect.stringContaining("PMI_SIZE is not set")]);
  expect((await runCli(data.folder, ["schema"], { env: half })).code).toBe(0);
});

describe.skipIf(!MPICH.isHere)(MPICH.name, () => {
  test.each(["auto", "mpi"])("mpiexec with strategy: %s trains", async (strategy) => {
    const spec = specFile(strategy, { strategy });
    const { code, stderr } = await byMpiexec("train", spec, "--ep", "cpu", "--no-report");
    expect([code, stderr.match(/epoch 2\/2/g)]).toEqual([0, ["epoch 2/2"]]);
  });

  test("strategy: nccl without a GPU is refused, by each rank for itself, and all end with 2", async () => {
    const { code, stderr } = await byMpiexec("train", specFile("nccl", { strategy: "nccl" }), "--ep", "cpu");
    expect(code).toBe(2);
    expect(new Set(stderr.match(/\[E_\w+\]/g))).toEqual(new Set(["[E_CUDA_DEVICE]"]));
  });

  test("mpiexec without a strategy is refused once, and ends with 2", async () => {
    const none = await byMpiexec("train", specFile("none", {}), "--ep", "cpu");
    expect(none.code).toBe(2);
    expect(none.stderr.match(/\[E_\w+\]/g)).toEqual(["[E_CONFIG]"]);
    expect(none.stderr).toMatch(/strategy: null is for one process, and 2 were started/);
    expect(existsSync(join(data.folder, "none"))).toBe(false);
  });

  test("what is refused under mpiexec is refused once: a missing spec, --ranks, other commands", async () => {
    const cases = [
      [["train", "absent.yml"], "absent.yml"],
      [["train", "spec.yml", "--ranks", "2"], "--ranks starts processes"],
      [["train", "spec.yml", "--find-lr"], "--find-lr"],
      [["data", "check", "spec.yml"], "mttc data check is for one process, and mpiexec has started 2"],
      [["evaluate", "one"], "mttc evaluate is for one process"],
    ] as const;
    for (const [args, words] of cases) {
      const { code, stderr } = await byMpiexec(...args);
      expect([args, code]).toEqual([args, 2]);
      expect(stderr).toContain(words);
      expect(stderr.match(/\[E_\w+\]/g)).toHaveLength(1);
    }
  });
});

describe.each(MPIEXECS)("--ranks by $name", ({ isHere, env, kind }) => {
  test.skipIf(!isHere)("--ranks 2 shows and writes what one process does, once", async () => {
    const one = await runCli(data.folder, [
      "train",
      specFile(`one-${kind}`, {}),
      "--ep",
      "cpu",
      "--no-report",
    ]);
    const args = ["train", specFile(`two-${kind}`, {}), "--ranks", "2", "--ep", "cpu", "--no-report"];
    const two = await runCli(data.folder, args, { env });
    expect([two.code, one.code]).toEqual([0, 0]);
    const shape = (text: string): string => text.replace(/[\d.]+ s\b|\d+ %|\(.*per 10,000\)/g, "#");
    const lines = (text: string): string[] =>
      shape(text)
        .split("\n")
        .filter((line) => !/^gain/.test(line));
    expect(lines(two.stderr).length).toBe(lines(one.stderr).length);
    expect(two.stdout.replaceAll("two-", "one-").split("\n").length).toBe(one.stdout.split("\n").length);
    const [first, second] = [logOf(`one-${kind}`), logOf(`two-${kind}`)];
    expect(second.map(({ epoch }) => epoch)).toEqual(first.map(({ epoch }) => epoch));
    for (const [i, { trainLoss }] of first.entries())
      for (const [task, loss] of Object.entries(trainLoss))
        expect(Math.abs((second[i]?.trainLoss[task] ?? Number.NaN) - loss)).toBeLessThan(MICRO_BATCHES);
    const ours = (run: string): string[] => readdirSync(join(data.folder, run)).toSorted();
    expect(ours(`two-${kind}`)).toEqual(ours(`one-${kind}`));
  });

  test.skipIf(!isHere)("Ctrl-C saves once, and one process goes on from there", async () => {
    const spec = specFile(`long-${kind}`, { epochs: "400" });
    const args = ["train", spec, "--ranks", "2", "--ep", "cpu", "--no-report"];
    const stopped = await runCli(data.folder, args, { env, interruptAt: "epoch 2/400" });
    expect(stopped.code).toBe(130);
    expect(stopped.stderr.match(/stopping: /g)).toHaveLength(1);
    expect(stopped.stderr.match(/\[E_\w+\]/g)).toEqual(["[E_INTERRUPTED]"]);
    const epochs = logOf(`long-${kind}`).length;
    expect(epochs).toBeGreaterThan(1);
    expect(epochs).toBeLessThan(400);
    const more = ["train", spec, "--resume", "--epochs", String(epochs + 1), "--ep", "cpu", "--no-report"];
    const resumed = await runCli(data.folder, more);
    expect(resumed.code).toBe(0);
    expect(logOf(`long-${kind}`)).toHaveLength(epochs + 1);
  });
});
