// A loader thread with planted faults, for tests: what becomes of an image is in its file's name. Started by
// LoaderThread with this file, built, in place of loaderWorker.
import { parentPort, workerData } from "node:worker_threads";
import type { LoaderService, LoaderSetup } from "../../runtime/batches/loaderProtocol.ts";
import { LoaderServer } from "../../runtime/batches/loaderServer.ts";
import { ImageReader } from "../../runtime/images/images.ts";
import { serveCalls } from "../../runtime/threads/callServer.ts";

class FaultyReader extends ImageReader {
  override async read(path: string, target: Uint8Array): Promise<void> {
    if (path.endsWith("exit.png")) process.exit(3);
    if (path.endsWith("throw.png")) setTimeout(() => explode(), 5);
    if (path.endsWith("memory.png")) fillMemory();
    if (/(throw|hang)\.png$/.test(path)) await new Promise(() => undefined);
    await super.read(path, target);
  }
}

function explode(): never {
  throw new TypeError("a planted fault");
}

/** Until the limit of the thread's heap ends it. */
function fillMemory(): void {
  const kept: number[][] = [];
  for (;;) kept.push(Array.from({ length: 10_000 }, (_, i) => i + 0.5));
}

const { format, cacheBytes } = workerData as LoaderSetup;
serveCalls<LoaderService>(parentPort, new LoaderServer(new FaultyReader(format, cacheBytes)));
