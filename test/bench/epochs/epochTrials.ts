// One case of `npm run bench -- epochs`: which setting of PyTorch is fastest, and whole runs of both sides
// in turn.
import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { PROJECT_ROOT } from "../../projectRoot.ts";
import { PausedProcess } from "../peers/pausedProcess.ts";
import { type CaseFiles, type EpochCase, type EpochSetting, epochRequest, epochSpec } from "./epochCases.ts";

/** Batches of a trial of layouts and Adam; of workers, which take their time to begin, twice as many. */
const TRIAL_BATCHES = 4;

/** What an epoch's line says, of either side. */
export interface Figures {
  readonly losses: readonly number[];
  readonly accuracy: readonly number[];
}

/** Milliseconds of each epoch, the first from the process's start, and the last epoch's figures. */
export interface Run {
  readonly ms: readonly number[];
  readonly figures: Figures;
}

export interface EpochResult {
  readonly name: string;
  readonly what: string;
  readonly setting: EpochSetting;
  readonly runs: readonly { readonly torch: Run; readonly mttc: Run }[];
}

/** Where both sides find what they need. */
interface Places {
  readonly python: string;
  /** Folder for files of this run. */
  readonly scratch: string;
}

export class EpochTrials {
  readonly #case: EpochCase;
  readonly #files: CaseFiles;
  readonly #places: Places;

  constructor(one: EpochCase, files: CaseFiles, places: Places) {
    this.#case = one;
    this.#files = files;
    this.#places = places;
  }

  async measure(count: number): Promise<EpochResult> {
    const { name, what, epochs } = this.#case;
    const setting = await this.#choose();
    const runs: { torch: Run; mttc: Run }[] = [];
    for (let run = 0; run < count; run++) {
      await using mttc = this.#mttc(run);
      await using torch = this.#torch(setting, epochs, null);
      const sides = { mttc: { ms: [] as number[], text: "" }, torch: { ms: [] as number[], text: "" } };
      for (let epoch = 0; epoch < epochs; epoch++)
        for (const [side, child] of Object.entries({ mttc, torch })) {
          const { text, ms } = await child.line();
          sides[side as "mttc" | "torch"].ms.push(ms);
          sides[side as "mttc" | "torch"].text = text;
        }
      runs.push({
        torch: { ms: sides.torch.ms, figures: torchFigures(sides.torch.text) },
        mttc: { ms: sides.mttc.ms, figures: mttcFigures(sides.mttc.text) },
      });
    }
    return { name, what, setting, runs };
  }

  /** PyTorch's fastest by second epochs: the layout and how threads wait, then Adam, then workers. */
  async #choose(): Promise<EpochSetting> {
    const { net, keepFeatures } = this.#case;
    const rows = TRIAL_BATCHES * net.batch;
    const layouts = (["contiguous", "channels_last"] as const).flatMap((layout) =>
      (["active", "passive"] as const).map((wait) => ({ layout, wait, fused: false, workers: 0 })),
    );
    const plain = await this.#fastest(layouts, rows);
    const alone = await this.#fastest([plain, { ...plain, fused: true }], rows);
    if (keepFeatures) return alone;
    const sleeping = { ...alone, wait: "passive" } as const;
    return await this.#fastest([alone, { ...sleeping, workers: 1 }, { ...sleeping, workers: 2 }], 2 * rows);
  }

  async #fastest(settings: readonly EpochSetting[], rows: number | null): Promise<EpochSetting> {
    let best: { readonly setting: EpochSetting; readonly ms: number } | undefined;
    for (const setting of settings) {
      await using child = this.#torch(setting, 2, rows);
      await child.line();
      const { ms } = await child.line();
      const { layout, wait, fused, workers } = setting;
      const text = `${layout}, ${wait}, ${fused ? "fused" : "plain"} Adam, ${workers} workers`;
      process.stderr.write(`${this.#case.name}: ${text}: ${(ms / 1000).toFixed(2)} s an epoch\n`);
      if (!best || ms < best.ms) best = { setting, ms };
    }
    if (!best) throw new Error("no settings to try");
    return best.setting;
  }

  #mttc(run: number): PausedProcess {
    const { name } = this.#case;
    const file = join(this.#places.scratch, `${name}-${run}.yml`);
    const spec = epochSpec(this.#case, this.#files, join(this.#places.scratch, `${name}-${run}`));
    writeFileSync(file, stringify(spec));
    return new PausedProcess(process.execPath, [
      join(PROJECT_ROOT, "cli", "mttc.cjs"),
      "train",
      file,
      "--json",
    ]);
  }

  #torch(setting: EpochSetting, epochs: number, rows: number | null): PausedProcess {
    const checkpoints = join(this.#places.scratch, `${this.#case.name}-torch`);
    mkdirSync(checkpoints, { recursive: true });
    const threads = availableParallelism();
    const more = { ...setting, threads, checkpoints, epochs, rows };
    const script = join(PROJECT_ROOT, "test", "bench", "epochs", "peer_epochs.py");
    const request = JSON.stringify(epochRequest(this.#case, this.#files, more));
    return new PausedProcess(this.#places.python, ["-W", "ignore", script, request], {
      OMP_NUM_THREADS: String(threads),
      OMP_WAIT_POLICY: setting.wait,
      ...(setting.wait === "active" ? { GOMP_SPINCOUNT: "infinity" } : {}),
    });
  }
}

function torchFigures(line: string): Figures {
  const { trainLoss, accuracy } = JSON.parse(line) as { trainLoss: number[]; accuracy: number[] };
  return { losses: trainLoss, accuracy };
}

function mttcFigures(line: string): Figures {
  const { trainLoss, evaluation } = JSON.parse(line) as {
    trainLoss: Record<string, number>;
    evaluation?: { tasks: Record<string, { accuracy: number }> };
  };
  const accuracy = Object.values(evaluation?.tasks ?? {}).map((task) => Number(task.accuracy));
  return { losses: Object.values(trainLoss), accuracy };
}
