// Probes of a run while it trains: what they find and write, and that the run ends with the very bits of one
// without them.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, unlinkSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadNewestCheckpoint } from "../../runtime/runs/checkpoints.ts";
import type { EmbeddingEvent, PictureEvent } from "../../runtime/train/events.ts";
import { type FitOptions, MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import { writePatternImages } from "../training/patternImages.ts";

let folder: string;
let options: TrainerOptions;
/** Every probe there is. */
const ALL = {
  downstream_labels: { table: "probes.csv", columns: ["stripes", "hue"] },
  ...{ rotation_test: true, query_fig: 3, save_projections: true, visualize_kernels: true, log_fcn: true },
} as const;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mttc-probes-"));
  const rows = await writePatternImages(join(folder, "images"), 88);
  const probes = rows.slice(40).map(({ filepath, hue, stripes }) => [filepath, hue, stripes].join(","));
  await writeFile(join(folder, "probes.csv"), `filepath,hue,stripes\n${probes.join("\n")}\n`);
  options = {
    ...{ train_labels: rows.slice(0, 28), val_labels: rows.slice(28, 40), tasks: ["hue", "stripes"] },
    ...{ fcn: { layers: [6, "p", 4] }, train_fcn: true, shared_layers: [6, "d"], task_layers: [6] },
    ...{ task_weights: "adaptive", batchnorm: true, augment: { flip_left_right: true } },
    ...{ imshape: [16, 16], batch_size: 8, seed: 5, image_root: folder },
  };
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Trains a run named `name` to `epochs` and returns what it told. */
async function train(name: string, epochs: number, more: Partial<TrainerOptions>, fit: FitOptions = {}) {
  const logdir = join(folder, name);
  await using trainer = new MultiTaskTrainer({ ...options, logdir, ...more }, { baseDirectory: folder });
  const told = {
    logs: [] as string[],
    pictures: [] as PictureEvent[],
    embeddings: [] as EmbeddingEvent[],
  };
  trainer.on("log", ({ message }) => told.logs.push(message));
  trainer.on("picture", (picture) => told.pictures.push(picture));
  trainer.on("embedding", (embedding) => told.embeddings.push(embedding));
  const history = await trainer.fit(epochs, fit);
  return { ...told, history, logdir, probes: join(logdir, "probes") };
}

async function hashOf(logdir: string): Promise<string> {
  const { tensors } = await loadNewestCheckpoint(logdir);
  const hash = createHash("sha256");
  for (const [name, { data }] of tensors) hash.update(name).update(data);
  return hash.digest("hex");
}

describe("a run with every probe", () => {
  let run: Awaited<ReturnType<typeof train>>;
  beforeAll(async () => {
    run = await train("all", 2, ALL);
  });

  it("ends with the bits of a run without", async () => {
    const plain = await train("plain", 2, {});
    expect(await hashOf(run.logdir)).toBe(await hashOf(plain.logdir));
    expect(existsSync(plain.probes)).toBe(false);
    expect(plain.history[0]?.scalars?.["probe/seconds"]).toBeUndefined();
  });

  it("has a figure of each column, and of the turns, in every epoch and in the log", () => {
    const log = readFileSync(join(run.logdir, "log.jsonl"), "utf8").trim().split("\n");
    for (const [i, { scalars }] of run.history.entries()) {
      for (const name of ["accuracy/hue", "accuracy/stripes", "macro_recall/hue", "rotation/accuracy"]) {
        expect(scalars?.[`probe/${name}`]).toBeGreaterThanOrEqual(0);
        expect(scalars?.[`probe/${name}`]).toBeLessThanOrEqual(1);
      }
      expect(scalars?.["probe/seconds"]).toBeGreaterThan(0);
      expect(JSON.parse(log[i] ?? "").scalars).toMatchObject(scalars ?? {});
    }
    // The images differ in nothing as much as in their colours.
    expect(run.history[1]?.scalars?.["probe/accuracy/hue"]).toBe(1);
  });

  it("says what it found, and what that took", () => {
    const line = run.logs.find((message) => message.startsWith("probes of epoch 2"));
    expect(line).toMatch(/hue 1\.000, always the commonest 0\.\d+ \(\d+ held out, 4 features\)/);
    expect(line).toMatch(/rotation 0\.\d+, by chance 0\.25/);
    expect(line).toMatch(/\(\d+\.\d s\)$/);
  });

  it("writes files that agree with the figures, a folder for each epoch", () => {
    expect(readdirSync(run.probes).sort()).toEqual(["epoch-0001", "epoch-0002"]);
    const epoch = join(run.probes, "epoch-0002");
    const { columns } = JSON.parse(readFileSync(join(epoch, "downstream.json"), "utf8"));
    expect(columns.map(({ column }: { column: string }) => column)).toEqual(["stripes", "hue"]);
    for (const { column, accuracy, confusion, heldOutRows } of columns) {
      expect(run.history[1]?.scalars?.[`probe/accuracy/${column}`]).toBe(accuracy);
      expect(confusion.flat().reduce((sum: number, rows: number) => sum + rows, 0)).toBe(heldOutRows);
    }
    const { files } = JSON.parse(readFileSync(join(epoch, "probes.json"), "utf8"));
    expect([...files, "probes.json"].sort()).toEqual(readdirSync(epoch).sort());
  });

  it("shows pictures: kernels, nearest images and confusions", async () => {
    const names = run.pictures.map(({ name, epoch }) => `${epoch} ${name}`);
    const each = ["probe/confusion/stripes", "probe/confusion/hue", "probe/query", "probe/kernels"];
    expect(names).toEqual([1, 2].flatMap((epoch) => each.map((name) => `${epoch} ${name}`)));
    for (const { png } of run.pictures) {
      const { channels } = await sharp(png).stats();
      expect(Math.max(...channels.map(({ stdev }) => stdev))).toBeGreaterThan(5);
    }
    const query = run.pictures.find(({ name }) => name === "probe/query");
    expect(readFileSync(join(run.probes, "epoch-0001", "query.png")).equals(query?.png ?? Buffer.of())).toBe(
      true,
    );
  });

  it("keeps vectors with their labels and a sprite", async () => {
    const { vectors, width, rows, sprite, epoch } = run.embeddings[1] as EmbeddingEvent;
    expect([epoch, width, vectors.length]).toEqual([2, 4, 48 * 4]);
    expect(rows.columns).toEqual(["stripes", "hue", "traintest", "file"]);
    expect(rows.values).toHaveLength(48);
    expect(rows.values.filter((row) => row[2] === "test")).toHaveLength(16);
    const { width: across } = await sharp(sprite?.png).metadata();
    expect([sprite?.side, across]).toEqual([50, 7 * 50]);
    const folderOf = join(run.probes, "epoch-0002", "projections");
    const npy = readFileSync(join(folderOf, "vectors.npy"));
    expect(npy.toString("latin1", 0, 128)).toContain("'shape': (48, 4)");
    expect(new Float32Array(new Uint8Array(npy.subarray(128)).buffer)).toEqual(vectors);
    expect(readFileSync(join(folderOf, "metadata.tsv"), "utf8").split("\n")).toHaveLength(50);
  });

  it("keeps the fcn, which is the trunk of a split export", async () => {
    await using trainer = await MultiTaskTrainer.fromRun(run.logdir);
    const { exportRun } = await import("../../runtime/export/exportRun.ts");
    const { directory } = await exportRun(trainer, { split: true });
    const kept = readFileSync(join(run.probes, "epoch-0002", "fcn.onnx"));
    const exported = readFileSync(join(directory, "trunk.onnx"));
    // Where it comes from is said by the export alone.
    expect(Math.abs(kept.length - exported.length)).toBeLessThan(200);
    const weights = await trainer.parameters();
    const [kernel] = weights.values();
    expect(kept.includes(Buffer.from((kernel as Float32Array).buffer))).toBe(
      exported.includes(Buffer.from((kernel as Float32Array).buffer)),
    );
  });
});

describe("probes", () => {
  it("come every so many epochs, whatever the spec says, where a call of fit says so", async () => {
    const { probes, history } = await train("often", 4, ALL, {
      ...{ linear_probe: 2, rotation_test: false, query_fig: false, save_projections: false },
      ...{ visualize_kernels: 3, log_fcn: 4 },
    });
    const files = readdirSync(probes).map((name) => [name, readdirSync(join(probes, name)).sort()]);
    const confusions = ["confusion-hue.png", "confusion-stripes.png", "downstream.json"];
    expect(Object.fromEntries(files)).toEqual({
      "epoch-0002": [...confusions, "probes.json"],
      "epoch-0003": ["kernels.png", "probes.json"],
      "epoch-0004": [...confusions, "fcn.onnx", "probes.json"],
    });
    expect(history.map(({ scalars }) => scalars?.["probe/accuracy/hue"] !== undefined)).toEqual([
      ...[false, true, false, true],
    ]);
  });

  it("go on over a resume to the same bits and figures", async () => {
    const whole = await train("whole", 2, ALL);
    await train("halves", 1, ALL);
    const resumed = await train("halves", 2, ALL, { resume: true });
    expect(await hashOf(resumed.logdir)).toBe(await hashOf(whole.logdir));
    const figures = ({ scalars }: { scalars?: Readonly<Record<string, number>> }) =>
      Object.entries(scalars ?? {}).filter(([name]) => /^probe\/(accuracy|macro|rotation)/.test(name));
    expect(resumed.history.map(figures)).toEqual(whole.history.map(figures));
  });

  it("that stop in their middle are made again on resume", async () => {
    const abort = new AbortController();
    const logdir = join(folder, "stopped");
    await using trainer = new MultiTaskTrainer({ ...options, ...ALL, logdir }, { baseDirectory: folder });
    trainer.on("step", ({ epoch, step, steps }) => {
      // After the last step, so that the signal is seen by the evaluation or the probes.
      if (epoch === 1 && step === steps) setTimeout(() => abort.abort(), 30);
    });
    const stopped = trainer.fit(2, { signal: abort.signal });
    await expect(stopped).rejects.toMatchObject({ code: "E_INTERRUPTED" });
    await trainer.close();
    const resumed = await train("stopped", 2, ALL, { resume: true });
    const whole = await train("unstopped", 2, ALL);
    expect(await hashOf(resumed.logdir)).toBe(await hashOf(whole.logdir));
    expect(readdirSync(resumed.probes).sort()).toEqual(["epoch-0001", "epoch-0002"]);
  });

  it("of a frozen fcn are computed once, and say so", async () => {
    const { history, logs } = await train("frozen", 2, { ...ALL, train_fcn: false });
    expect(logs.filter((message) => /the fcn is frozen: its features/.test(message))).toHaveLength(1);
    const figure = history.map(({ scalars }) => scalars?.["probe/accuracy/stripes"]);
    expect(figure[0]).toBe(figure[1]);
  });

  it("of an image that has gone are left out with a word, and training goes on", async () => {
    const rows = await writePatternImages(join(folder, "going"), 12);
    const lines = rows.map(({ filepath, hue }) => `${filepath},${hue ?? "red"}`);
    await writeFile(join(folder, "going.csv"), `filepath,hue\n${lines.join("\n")}\n`);
    const logdir = join(folder, "gone");
    const more = { downstream_labels: "going.csv", visualize_kernels: true } as const;
    await using trainer = new MultiTaskTrainer({ ...options, ...more, logdir }, { baseDirectory: folder });
    const logs: string[] = [];
    trainer.on("log", ({ message }) => logs.push(message));
    trainer.on("step", ({ step }) => {
      if (step === 1 && existsSync(join(folder, "going", "5.png")))
        unlinkSync(join(folder, "going", "5.png"));
    });
    await trainer.fit(1);
    expect(logs.join("\n")).toMatch(/warning: epoch 1: the linear probe is left out: .*going.5\.png/);
    expect(readdirSync(join(logdir, "probes", "epoch-0001"))).toEqual(["kernels.png", "probes.json"]);
  });

  it("take all numbers of a feature map without avpool", async () => {
    const { embeddings } = await train("flat", 1, { ...ALL, avpool: false });
    expect(embeddings[0]?.width).toBe(4 * 8 * 8);
  });

  it("look at the validation images where there are no others", async () => {
    const { embeddings, history } = await train("validation", 1, {
      ...{ rotation_test: true, save_projections: true },
    });
    expect(embeddings[0]?.rows.columns).toEqual(["hue", "stripes", "file"]);
    expect(embeddings[0]?.rows.values).toHaveLength(12);
    expect(history[0]?.scalars?.["probe/rotation/accuracy"]).toBeGreaterThanOrEqual(0);
  });
});

describe("what cannot be probed is refused before training", () => {
  const refused = (more: Partial<TrainerOptions>, fit: FitOptions = {}): Promise<unknown> =>
    train(`refused-${Math.random()}`, 1, more, fit);

  it("a query sheet without labels, turns of images that are not square, no images at all", async () => {
    await expect(refused({ query_fig: 3 })).rejects.toThrow(/query_fig: there are no labels/);
    await expect(refused({ rotation_test: 2, imshape: [16, 24] })).rejects.toThrow(/need a square imshape/);
    await expect(refused({ ...ALL, linear_probe: false })).rejects.toThrow(/which is false/);
    await expect(refused({ save_projections: true, val_labels: null })).rejects.toThrow(
      /no images to look at/,
    );
    await expect(refused({}, { linear_probe: 2 })).rejects.toThrow(/linear_probe: there are no labels/);
    await expect(refused({}, { query_fig: -1 as never })).rejects.toThrow(
      /query_fig: expected true, a number/,
    );
    await expect(refused({}, { visualise_kernels: true } as never)).rejects.toThrow(/visualize_kernels/);
    await expect(refused({ logdir: null, log_fcn: true })).rejects.toThrow(
      /nothing is kept without a logdir/,
    );
  });

  it("a table that is not there, or has nothing to be told apart by", async () => {
    const table = (text: string) => writeFile(join(folder, "odd.csv"), text);
    await expect(refused({ downstream_labels: "prbes.csv" })).rejects.toThrow(/E_FILE.*\n.*probes\.csv/);
    await table("filepath,kind\nimages/0.png,a\nimages/1.png,a\nimages/2.png,a\n");
    await expect(refused({ downstream_labels: { table: "odd.csv", columns: ["kind"] } })).rejects.toThrow(
      /one class in the 2 rows that are not held out/,
    );
    await expect(refused({ downstream_labels: "odd.csv" })).rejects.toThrow(/no column beside "filepath"/);
    await table(
      `filepath,kind\nimages/none.png,a\n${"images/1.png,a\nimages/2.png,b\nimages/3.png,a\nimages/4.png,b\nimages/5.png,b\n"}`,
    );
    await expect(refused({ downstream_labels: "odd.csv" })).rejects.toThrow(/none\.png/);
  });
});
