// What `mttc data pack` does: labels -> packed cache, verified.
import { resolve } from "node:path";
import { MttcError } from "../compiler/diagnostics.ts";
import { sparsely } from "../runtime/checks/sparseProgress.ts";
import { refuseSameContent } from "../runtime/checks/splitLeak.ts";
import { imageFormat } from "../runtime/images/images.ts";
import { preparePack } from "../runtime/packs/packedImages.ts";
import { checkSources } from "../runtime/runs/runSources.ts";
import { listedImages } from "../runtime/tables/imageRows.ts";
import type { Experiment } from "../runtime/train/experiment.ts";
import { packFolder } from "../runtime/train/runPack.ts";
import { readLabels } from "../runtime/train/trainerOptions.ts";
import { interruptSignal } from "./interruptSignal.ts";
import { shownPath } from "./pathText.ts";
import { bytes, count } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

/** Options of the command. */
export interface PackFlags {
  readonly refresh?: boolean;
  readonly json?: boolean;
}

/** Packs the images of the experiment that `file` names. */
export async function pack(
  file: string,
  experiment: Experiment,
  flags: PackFlags,
  terminal: Terminal,
): Promise<void> {
  const { spec, baseDirectory } = experiment;
  const isPath = typeof spec.pack === "string" && spec.pack !== "auto";
  if (spec.logdir === null && !isPath)
    throw new MttcError({
      code: "E_CONFIG",
      message: "there is no folder to pack into",
      at: { file, path: "pack" },
      hint: "add a line such as `pack: cache`, or a logdir",
    });
  const labels = await checkSources(experiment, await readLabels(experiment));
  const { signal, stop } = interruptSignal(terminal, "stopping; what is packed is kept");
  const { hashes, ...summary } = await preparePack(listedImages(labels.train, labels.val), {
    folder: packFolder(experiment, resolve(baseDirectory, spec.logdir ?? ".")),
    format: imageFormat(spec),
    packFormat: spec.pack_format,
    refresh: flags.refresh ?? false,
    signal,
    onProgress: sparsely((done, total) => terminal.note(`${count(done)} of ${count(total)} images packed`)),
  }).finally(stop);
  if (spec.split_leak === "error") refuseSameContent(labels, hashes);
  const { folder, images, packed, sizeBytes, reclaimedBytes } = summary;
  const freed = reclaimedBytes > 0 ? `; ${bytes(reclaimedBytes)} of replaced ones removed` : "";
  if (flags.json) terminal.out(JSON.stringify(summary, null, 2));
  else
    terminal.out(
      `${count(images)} images are packed (${count(packed)} of them now), ${bytes(sizeBytes)} in ${shownPath(folder)}${freed}`,
    );
}
