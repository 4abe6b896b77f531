// The ONNX Runtime thread: carries out the calls that arrive, one after the other, and posts what came of
// each. All of ORT is loaded, run and released here and nowhere else (a CUDA graph, later, belongs to the
// thread that captured it).
import { parentPort } from "node:worker_threads";
import { InternalError } from "../../compiler/diagnostics.ts";
import { packError } from "./faultTransfer.ts";
import { type Method, type Reply, type Request, transferableBuffers } from "./ortProtocol.ts";
import { OrtServer } from "./ortServer.ts";

const port = parentPort;
if (port === null) throw new InternalError("runtime/ort/worker is started by OrtHost, as a worker thread");
const server = new OrtServer();

/** One call by its name; the message's types are those of OrtService, since OrtHost made it. */
function carryOut({ method, args }: Request): unknown {
  const call = server[method].bind(server) as (...args: Parameters<OrtServer[Method]>) => unknown;
  return call(...args);
}

port.on("message", (request: Request) => {
  const { call, method } = request;
  let reply: Reply;
  try {
    reply = { call, value: carryOut(request) };
  } catch (error) {
    reply = { call, error: packError(error) };
  }
  port.postMessage(reply, transferableBuffers(reply));
  if (method === "close") port.close();
});

// A request that cannot be read has no number to answer to: the thread ends, and with it every open call.
port.on("messageerror", (error) => {
  throw new InternalError(`an unreadable request: ${error}`);
});
