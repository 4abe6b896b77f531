// `mttc data pack SPEC`: decodes every image of a spec once into the packed cache that training reads.
import { resolve } from "node:path";
import { Command } from "commander";
import { MttcError } from "../compiler/diagnostics.ts";
import { imageFormat } from "../runtime/data/images.ts";
import { PackedImages } from "../runtime/data/packedImages.ts";
import { packFolder, packItems } from "../runtime/train/runPack.ts";
import { readLabels } from "../runtime/train/trainerOptions.ts";
import { shownPath } from "./pathText.ts";
import { loadSpecOrRun } from "./specFile.ts";
import { bytes, count } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

interface Flags {
  readonly refresh?: boolean;
  readonly json?: boolean;
}

const PROGRESS_MS = 10_000;

export function addDataPackCommand(data: Command, terminal: Terminal): void {
  const command = new Command("pack")
    .description("decode every image of a spec once, into the packed cache that training reads; verify it")
    .argument("<spec>", "spec file, or a run's folder")
    .option("--refresh", "pack images anew whose files have changed (otherwise they are an error)")
    .option("--json", "print the result as JSON")
    .action((spec: string, flags: Flags) => pack(spec, flags, terminal));
  data.addCommand(command);
}

async function pack(file: string, flags: Flags, terminal: Terminal): Promise<void> {
  const experiment = await loadSpecOrRun(file);
  const { spec, baseDirectory } = experiment;
  const isPath = typeof spec.pack === "string" && spec.pack !== "auto";
  if (spec.logdir === null && !isPath)
    throw new MttcError({
      code: "E_CONFIG",
      message: "there is no folder to pack into",
      at: { file, path: "pack" },
      hint: "add a line such as `pack: cache`, or a logdir",
    });
  const labels = await readLabels(experiment);
  let shownAt = performance.now();
  await using packed = await PackedImages.open(packItems(labels), {
    folder: packFolder(experiment, resolve(baseDirectory, spec.logdir ?? ".")),
    format: imageFormat(spec),
    refresh: flags.refresh ?? false,
    onProgress: (done, total) => {
      if (performance.now() - shownAt < PROGRESS_MS) return;
      shownAt = performance.now();
      terminal.note(`${count(done)} of ${count(total)} images packed`);
    },
  });
  const { folder, images, packed: fresh, sizeBytes } = packed.summary;
  if (flags.json) terminal.out(JSON.stringify(packed.summary, null, 2));
  else
    terminal.out(
      `${count(images)} images are packed (${count(fresh)} of them now), ${bytes(sizeBytes)} in ${shownPath(folder)}`,
    );
}
