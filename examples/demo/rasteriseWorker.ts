// The child process of rasterise.ts: SVG files -> PNG files. A process of its own because the runtime's image
// reader forbids SVG to the whole process that it works in. Receives one RasteriseJob, answers with counts
// and exits.
import { readFile, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import sharp from "sharp";
import type { RasteriseJob, RasteriseReport } from "./rasterise.ts";

const REPORT_EVERY = 50;

function report(message: RasteriseReport): void {
  process.send?.(message);
}

async function rasterise(source: string, target: string, { size, background }: RasteriseJob): Promise<void> {
  // OpenMoji's canvas is 72 x 72 units, which at `size` dpi are size x size pixels.
  const png = await sharp(await readFile(source), { density: size })
    .resize(size, size, { fit: "contain", background })
    .flatten({ background })
    .png()
    .toBuffer();
  await writeFile(target, png);
}

async function work(job: RasteriseJob): Promise<void> {
  let next = 0;
  let done = 0;
  const lane = async (): Promise<void> => {
    for (let file = job.files[next++]; file !== undefined; file = job.files[next++]) {
      try {
        await rasterise(file.source, file.target, job);
      } catch (error) {
        throw new Error(`${file.source}: ${error instanceof Error ? error.message : String(error)}`);
      }
      done += 1;
      if (done % REPORT_EVERY === 0 || done === job.files.length) report({ done });
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() * 2 }, lane));
}

sharp.cache(false);
sharp.concurrency(1);
process.once("disconnect", () => process.exit(1)); // the parent has gone
process.once("message", (job: RasteriseJob) => {
  work(job)
    .catch((error: unknown) => report({ failure: String(error) }))
    .finally(() => {
      process.removeAllListeners("disconnect");
      process.disconnect();
    });
});
