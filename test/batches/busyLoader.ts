// A process that closes a loader while it is busy and then has nothing more to do: run by
// loaderThread.test.ts, with a folder of pictures. It must end by itself.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { BatchLoader } from "../../runtime/batches/loader.ts";
import { LoaderThread } from "../../runtime/batches/loaderThread.ts";

const folder = process.argv[2] ?? "";
const paths = readdirSync(folder).flatMap((name) => (/^\d+\.png$/.test(name) ? [join(folder, name)] : []));
const rows = { paths, locate: () => ({}) };
const order = Int32Array.from({ length: 400 }, (_, place) => place % paths.length);
const thread = new LoaderThread({ format: { height: 64, width: 64, channels: 3, greyscale: false } });
const loader = new BatchLoader({ rows, order, batchSize: 100, reader: thread, parallel: 16 });
await loader.next();
await loader.close();
await thread.close();
// One that is left open and idle must not keep the process either.
const left = new LoaderThread({ format: thread.format });
await new BatchLoader({ rows, order: order.slice(0, 100), batchSize: 100, reader: left }).next();
