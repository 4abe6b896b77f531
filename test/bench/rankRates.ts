// `npm run bench -- ranks`: a trained net on one process with all threads beside as many ranks of one thread
// each, runs of `mttc train` in turn; images a second of the epochs after the first, medians and their ratio,
// and the most memory that all processes of a run took together.
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { runProgram } from "../cli/runCli.ts";
import { median } from "../median.ts";
import { PROJECT_ROOT } from "../projectRoot.ts";
import { PeakMemory } from "./peakMemory.ts";

const MTTC = join(PROJECT_ROOT, "cli", "mttc.cjs");
const IMAGES = 512;
const SIDE = 64;
const BATCH = 32;
const EPOCHS = 3;
const ROUNDS = 3;

interface LoggedEpoch {
  readonly steps: number;
  readonly seconds: number;
}

/** Trains in turn, prints both rates and their ratio; whether all runs ended well. */
export async function compareRankRates(): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), "mttc-bench-ranks-"));
  try {
    await writeData(folder);
    const ranks = availableParallelism();
    const rates: [number[], number[]] = [[], []];
    const peaks: [number[], number[]] = [[], []];
    for (let round = 0; round < ROUNDS; round++)
      for (const [i, flags] of [
        ["--threads", `${ranks}`],
        ["--ranks", `${ranks}`],
      ].entries()) {
        const name = `run-${round}-${i}`;
        await writeFile(join(folder, `${name}.yml`), specText(name));
        const args = ["train", `${name}.yml`, ...flags, "--ep", "cpu", "--no-report"];
        using memory = new PeakMemory();
        const { code, stderr } = await runProgram(process.execPath, [MTTC, ...args], { cwd: folder });
        peaks[i]?.push(memory.bytes);
        if (code !== 0) {
          console.error(stderr);
          return false;
        }
        rates[i]?.push(...(await ratesOf(join(folder, name, "log.jsonl"))));
      }
    printTable([`one process, ${ranks} threads`, `${ranks} ranks, 1 thread each`], rates, peaks);
    return true;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const MIB = 2 ** 20;

/** A row for each way to train, and one of how the second stands to the first. */
function printTable(names: readonly string[], rates: number[][], peaks: number[][]): void {
  const [speed, memory] = [rates.map(median), peaks.map(median)];
  const row = (name: string, rate: string, bytes: string): void =>
    console.log(`${name.padEnd(26)}${rate.padStart(10)}${bytes.padStart(14)}`);
  row("", "images/s", "peak memory");
  for (const [i, name] of names.entries())
    row(name, `${speed[i]?.toFixed(0)}`, `${((memory[i] ?? 0) / MIB).toFixed(0)} MB`);
  const ratio = ([first, second]: readonly number[]): string => ((second ?? 0) / (first ?? 1)).toFixed(2);
  row("second / first", ratio(speed), ratio(memory));
}

/** Images a second of each epoch after the first. */
async function ratesOf(log: string): Promise<number[]> {
  const lines = (await readFile(log, "utf8")).trim().split("\n");
  const epochs = lines.map((line) => JSON.parse(line) as LoggedEpoch);
  return epochs.slice(1).map(({ steps, seconds }) => (steps * BATCH) / seconds);
}

async function writeData(folder: string): Promise<void> {
  await mkdir(join(folder, "images"));
  const lines = ["file,a,b"];
  for (let row = 0; row < IMAGES; row++) {
    const pixels = Uint8Array.from(
      { length: SIDE * SIDE * 3 },
      (_, i) => ((i + row * 977) * 2654435761) >>> 24,
    );
    const file = `images/${row}.png`;
    const raw = { width: SIDE, height: SIDE, channels: 3 } as const;
    await sharp(pixels, { raw }).png().toFile(join(folder, file));
    lines.push(`${file},${row % 2},${row % 5 === 0 ? "" : row % 3}`);
  }
  await writeFile(join(folder, "labels.csv"), `${lines.join("\n")}\n`);
}

function specText(logdir: string): string {
  return `train_labels: labels.csv
filepaths: file
tasks: [a, b]
imshape: [${SIDE}, ${SIDE}]
fcn: {layers: [32, p, 64, p, 128]}
train_fcn: true
batchnorm: true
shared_layers: [64]
batch_size: ${BATCH}
epochs: ${EPOCHS}
logdir: ${logdir}
`;
}
