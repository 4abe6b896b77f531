// The child's side of ProcessCalls: carries out the calls that arrive, one after the other, and ends itself
// when its memory passes the limit or its parent is gone. Its main thread must stay free to look: what takes
// long belongs on a worker thread.
import { InternalError } from "../../compiler/diagnostics.ts";
import type { Request, Service } from "./callProtocol.ts";
import { answerCall } from "./callServer.ts";

/** Told to the parent before the process ends itself. */
export interface ExcessMessage {
  readonly excess: number;
}

const LOOK_MS = 20;

/** Serves `server` until the parent ends this process; its first argument is the limit of memory in bytes. */
export function serveProcess<S extends Service<S>>(server: S): void {
  if (process.send === undefined) throw new InternalError("this file is started as a child process only");
  const memoryBytes = Number(process.argv[2]);
  const end = (): void => void process.kill(process.pid, "SIGKILL");
  setInterval(() => {
    const taken = process.memoryUsage.rss();
    if (taken > memoryBytes) process.send?.({ excess: taken } satisfies ExcessMessage, end);
  }, LOOK_MS);
  process.on("message", (request: Request) => {
    void answerCall(server, request).then((reply) => process.send?.(reply));
  });
  // A native job that does not end would hold up any gentler way.
  process.on("disconnect", end);
  process.send("ready");
}
