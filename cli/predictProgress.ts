// A bar of the images that are predicted, on a terminal only.
import { SingleBar } from "cli-progress";
import type { Terminal } from "./terminal.ts";

/** Fewer images than this are done before anybody could read a bar. */
const FEW_IMAGES = 64;

/** Shows how many of `total` images are done; nothing where nobody looks, or the rows themselves are seen. */
export function predictProgress(
  total: number,
  isOnStdout: boolean,
  { drawsProgress, isTerminal }: Terminal,
): { update(done: number): void; stop(): void } {
  if (!drawsProgress || (isTerminal && isOnStdout) || total < FEW_IMAGES)
    return { update: () => undefined, stop: () => undefined };
  const bar = new SingleBar({
    format: "{bar} {value}/{total} images  {eta_formatted} left",
    barsize: 24,
    clearOnComplete: true,
    hideCursor: true,
    stream: process.stderr,
    // Ctrl-C is the command's business.
    gracefulExit: false,
  });
  bar.start(total, 0);
  return { update: (done) => bar.update(done), stop: () => bar.stop() };
}
