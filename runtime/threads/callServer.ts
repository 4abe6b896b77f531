// The worker's side of WorkerCalls: carries out the calls that arrive and posts what came of each. Calls are
// begun in the order in which they arrive; what a call gives as a promise is replied when it settles.
import type { MessagePort } from "node:worker_threads";
import { InternalError } from "../../compiler/diagnostics.ts";
import { type Reply, type Request, type Service, transferableBuffers } from "./callProtocol.ts";
import { packError } from "./faultTransfer.ts";

/**
 * Serves `server` on the thread's port (node:worker_threads' parentPort) until `close` has been replied;
 * then the thread ends when nothing is left to do on it. Buffers in results are transferred.
 */
export function serveCalls<S extends Service<S>>(port: MessagePort | null, server: S): void {
  if (port === null) throw new InternalError("a worker's file is started as a worker thread only");
  port.on("message", (request: Request) => {
    void answerCall(server, request).then((reply) => {
      port.postMessage(reply, transferableBuffers(reply));
      if (request.method === "close") port.close();
    });
  });
  // A request that cannot be read has no number to answer to: the thread ends, and with it every open call.
  port.on("messageerror", (error) => {
    throw new InternalError(`an unreadable request: ${error}`);
  });
}

/** Carries out one call; never rejects. */
export async function answerCall<S extends Service<S>>(
  server: S,
  { call, method, args }: Request,
): Promise<Reply> {
  try {
    // The message's types are those of the service, since WorkerCalls made it.
    const carryOut = server[method as keyof S] as (...args: never[]) => unknown;
    return { call, value: await carryOut.apply(server, args as never[]) };
  } catch (error) {
    return { call, error: packError(error) };
  }
}
