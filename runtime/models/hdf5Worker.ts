// Reads one HDF5 file in a thread of its own: the HDF5 library is C compiled to WebAssembly, which a
// damaged file can bring into a state from which nothing more can be read, or keep busy for ever. In: the
// bytes; out: texts and arrays, or a fault. The file lies in the thread's memory alone, so its links lead
// nowhere.
import { parentPort, workerData } from "node:worker_threads";
import { File, ready } from "h5wasm";
import { InternalError, MttcError } from "../../compiler/diagnostics.ts";
import { type Hdf5Content, readContent } from "./hdf5Content.ts";
import type { Hdf5Progress, Hdf5Reply, Hdf5Request } from "./hdf5File.ts";

const port = parentPort ?? absent();
/** The file in the memory of the library. */
const PATH = "/model.h5";
const reply = await carryOut(workerData as Hdf5Request);
port.postMessage(reply, "content" in reply ? arrayBuffers(reply.content) : []);

/** What is no fault of ours is damage: the library throws errors of several kinds. */
async function carryOut({ bytes, kind }: Hdf5Request): Promise<Hdf5Reply> {
  try {
    const { FS } = await ready;
    const progress = (nextBytes: number): void => port.postMessage({ nextBytes } satisfies Hdf5Progress);
    progress(bytes.length);
    FS.writeFile(PATH, bytes);
    const file = new File(PATH, "r");
    return { content: readContent(file, bytes.length, kind, progress) };
  } catch (error) {
    if (error instanceof MttcError) return { faults: error.faults };
    const reason = error instanceof Error ? error.message : String(error);
    return {
      faults: [{ code: "E_MODEL_PARSE", message: `the HDF5 file is damaged or cut short (${reason})` }],
    };
  }
}

function absent(): never {
  throw new InternalError("runtime/models/hdf5Worker is started by readHdf5, as a worker thread");
}

/** Buffers behind the arrays, which are moved and not copied. */
function arrayBuffers({ layers, arrays }: Hdf5Content): ArrayBuffer[] {
  const named = [...layers.values()].flat().map(({ array }) => array);
  return [...new Set([...named, ...arrays.values()].map(({ data }) => data.buffer as ArrayBuffer))];
}
