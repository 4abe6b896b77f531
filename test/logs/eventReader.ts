// Reads event files as TensorBoard does, by a decoder of its own: frames with both checksums by a bitwise
// CRC-32C, messages by protobuf's wire format. Nothing of it is shared with what writes them.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** A field of a message: varint and fixed64 as numbers, else bytes. */
type Fields = Map<number, (number | Buffer)[]>;

export interface ReadValue {
  readonly tag: string;
  readonly step: number;
  readonly wallTime: number;
  readonly scalar: number | undefined;
  readonly plugin: string | undefined;
  readonly content: Buffer | undefined;
  readonly strings: readonly Buffer[];
}

/** Bit by bit, as the polynomial says it. */
function slowCrc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}

function unmask(masked: number): number {
  const rotated = (masked - 0xa282ead8) >>> 0;
  return ((rotated >>> 17) | (rotated << 15)) >>> 0;
}

/** The records of a file; throws at the first that is cut or damaged. */
export function readRecords(bytes: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    if (unmask(bytes.readUInt32LE(at + 8)) !== slowCrc32c(bytes.subarray(at, at + 8)))
      throw new Error(`length at ${at} is damaged`);
    const data = bytes.subarray(at + 12, at + 12 + length);
    if (unmask(bytes.readUInt32LE(at + 12 + length)) !== slowCrc32c(data))
      throw new Error(`record at ${at} is damaged`);
    records.push(data);
    at += 16 + length;
  }
  return records;
}

function fieldsOf(bytes: Buffer): Fields {
  const fields: Fields = new Map();
  let at = 0;
  const varint = (): number => {
    let [value, scale] = [0, 1];
    for (;;) {
      const byte = bytes.readUInt8(at++);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const kind = tag % 8;
    let value: number | Buffer;
    if (kind === 0) value = varint();
    else {
      const length = kind === 2 ? varint() : kind === 1 ? 8 : 4;
      value = bytes.subarray(at, at + length);
      at += length;
    }
    const number = Math.floor(tag / 8);
    fields.set(number, [...(fields.get(number) ?? []), value]);
  }
  return fields;
}

const bytesOf = (fields: Fields | undefined, number: number): Buffer | undefined => {
  const value = fields?.get(number)?.[0];
  return Buffer.isBuffer(value) ? value : undefined;
};
const inner = (fields: Fields | undefined, number: number): Fields | undefined => {
  const bytes = bytesOf(fields, number);
  return bytes && fieldsOf(bytes);
};

/** Event files of a folder, in the order of their names. */
export function eventFiles(folder: string): string[] {
  const names = readdirSync(folder).filter((name) => name.includes("tfevents"));
  return names.sort().map((name) => join(folder, name));
}

/** What TensorBoard shows of a folder: all values, but those that a later file supersedes. */
export function readValues(folder: string): ReadValue[] {
  let values: ReadValue[] = [];
  for (const file of eventFiles(folder))
    for (const [place, record] of readRecords(readFileSync(file)).entries()) {
      const event = fieldsOf(record);
      const step = Number(event.get(2)?.[0] ?? 0);
      const wallTime = bytesOf(event, 1)?.readDoubleLE() ?? Number.NaN;
      if (place === 0 && bytesOf(event, 3)?.toString() !== "brain.Event:2") throw new Error("no version");
      const status = inner(event, 7)?.get(1)?.[0];
      if (status === 1) values = values.filter((value) => value.step < step);
      for (const bytes of inner(event, 5)?.get(1) ?? []) {
        if (!Buffer.isBuffer(bytes)) continue;
        const value = fieldsOf(bytes);
        const plugin = inner(inner(value, 9), 1);
        values.push({
          tag: bytesOf(value, 1)?.toString() ?? "",
          ...{ step, wallTime },
          scalar: bytesOf(value, 2)?.readFloatLE(),
          plugin: bytesOf(plugin, 1)?.toString(),
          content: bytesOf(plugin, 2),
          strings: (inner(value, 8)?.get(8) ?? []).filter((each) => Buffer.isBuffer(each)),
        });
      }
    }
  return values;
}

/** Steps and numbers of a tag. */
export function scalarsOf(folder: string, tag: string): [step: number, value: number][] {
  return readValues(folder).flatMap((value) =>
    value.tag === tag && value.scalar !== undefined ? [[value.step, value.scalar] as [number, number]] : [],
  );
}
