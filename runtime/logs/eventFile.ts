// Event files of TensorBoard: TFRecord frames around protobuf events. A record is its length (uint64, little
// endian), the masked CRC-32C of these eight bytes, the event, and the masked CRC-32C of it. A write that
// fails is taken back, so that a file never holds half a record.
import { type FileHandle, mkdir, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileError, systemCode } from "../files/fileSystem.ts";
import { type EventMessage, encodeEvent } from "./eventMessages.ts";

const HEAD_BYTES = 12;
const FOOT_BYTES = 4;
/** Castagnoli's polynomial, reversed. */
const POLYNOMIAL = 0x82f63b78;
const MASK = 0xa282ead8;
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
  return crc >>> 0;
});

/** CRC-32C (RFC 3720, appendix B.4). */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (TABLE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** TFRecord's masked checksum: rotated right by 15 bits, plus a constant. */
export function maskedCrc(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + MASK) >>> 0;
}

/** An event as a record. */
export function frameEvent(event: EventMessage): Buffer {
  const data = encodeEvent(event);
  const record = Buffer.alloc(HEAD_BYTES + data.length + FOOT_BYTES);
  record.writeBigUInt64LE(BigInt(data.length), 0);
  record.writeUInt32LE(maskedCrc(record.subarray(0, 8)), 8);
  record.set(data, HEAD_BYTES);
  record.writeUInt32LE(maskedCrc(data), HEAD_BYTES + data.length);
  return record;
}

/** The files' names begin like this; TensorBoard reads those of a folder in the order of their names. */
const NAME_START = "events.out.tfevents.";
const NAME_END = ".mttc";
const FILE_NAME = /^events\.out\.tfevents\.(\d{10})\.mttc$/;

/** An event file that is written to. */
export class EventFile {
  readonly #path: string;
  readonly #handle: FileHandle;
  #size = 0;

  private constructor(path: string, handle: FileHandle) {
    this.#path = path;
    this.#handle = handle;
  }

  /** A new file in `folder`, read after all that are there, that begins with `first`. E_FILE, E_DISK. */
  static async create(folder: string, seconds: number, first: readonly EventMessage[]): Promise<EventFile> {
    const path = join(folder, await nextName(folder, seconds));
    let handle: FileHandle;
    try {
      await mkdir(folder, { recursive: true });
      handle = await open(path, "wx");
    } catch (error) {
      throw fileError(error, path, "write");
    }
    const file = new EventFile(path, handle);
    try {
      const sourceMetadata = { writer: "mttc" };
      const version = { wallTime: seconds, fileVersion: "brain.Event:2", sourceMetadata };
      await file.append([version, ...first]);
    } catch (error) {
      await handle.close();
      throw error;
    }
    return file;
  }

  /** Appends events, all or none. E_FILE, E_DISK. */
  async append(events: readonly EventMessage[]): Promise<void> {
    if (events.length === 0) return;
    const bytes = Buffer.concat(events.map(frameEvent));
    try {
      try {
        let done = 0;
        while (done < bytes.length) {
          const { bytesWritten } = await this.#handle.write(
            bytes,
            done,
            bytes.length - done,
            this.#size + done,
          );
          done += bytesWritten;
        }
      } catch (error) {
        await this.#handle.truncate(this.#size);
        throw error;
      }
    } catch (error) {
      throw fileError(error, this.#path, "write");
    }
    this.#size += bytes.length;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** Whether there is an event file of ours in the folder. */
export async function hasEventFiles(folder: string): Promise<boolean> {
  return (await timesOfFiles(folder)).length > 0;
}

/** The times in the names of the folder's event files. */
async function timesOfFiles(folder: string): Promise<number[]> {
  try {
    const found = (await readdir(folder)).map((name) => FILE_NAME.exec(name)?.[1]);
    return found.flatMap((time) => (time === undefined ? [] : [Number(time)]));
  } catch (error) {
    if (systemCode(error) === "ENOENT") return [];
    throw fileError(error, folder, "read the folder");
  }
}

/** A name with the time, later than those of files that are there. */
async function nextName(folder: string, seconds: number): Promise<string> {
  const times = (await timesOfFiles(folder)).map((time) => time + 1);
  const time = Math.max(Math.floor(seconds), ...times);
  return `${NAME_START}${String(time).padStart(10, "0")}${NAME_END}`;
}
