// The safetensors reader and writer: bytes as the format's documentation has them, round trips of random
// tensors, and every hostile file of the list in the issue, each refused with its own code.
import { describe, expect, it } from "vitest";
import {
  decodeSafetensors,
  encodeSafetensors,
  type StoredDtype,
  type StoredTensor,
} from "../../compiler/codec/safetensors.ts";
import { MttcError } from "../../compiler/diagnostics.ts";

function file(header: string | Uint8Array, dataBytes = 0, length?: bigint): Uint8Array {
  const text = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

function entry(shape: unknown, offsets: unknown, dtype: unknown = "F32"): string {
  return JSON.stringify({ dtype, shape, data_offsets: offsets });
}

function codeOf(bytes: Uint8Array): string {
  try {
    decodeSafetensors(bytes, "x.safetensors");
  } catch (error) {
    if (error instanceof MttcError) {
      expect(error.message).toContain("x.safetensors");
      return error.code;
    }
    throw error;
  }
  return "accepted";
}

const SIZES: Readonly<Partial<Record<StoredDtype, number>>> = {
  float64: 8,
  float32: 4,
  int64: 8,
  uint8: 1,
  bool: 1,
};

/** A small deterministic generator (mulberry32), so that a failure repeats. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

function randomTensors(random: () => number): StoredTensor[] {
  const below = (limit: number): number => Math.floor(random() * limit);
  const names = ["a", "__proto__", "constructor", "", "ä→😀", 'q"\\\n', "tasks.x.dense/m", "toString"];
  return names.slice(0, 1 + below(names.length)).map((name) => {
    const dtype = Object.keys(SIZES)[below(5)] as StoredDtype;
    const shape = Array.from({ length: below(4) }, () => below(5));
    const size = shape.reduce((product, dim) => product * dim, SIZES[dtype]!);
    return { name, dtype, shape, data: Uint8Array.from({ length: size }, () => below(256)) };
  });
}

describe("safetensors: writing", () => {
  it("writes exactly the documented layout, the data aligned to 8 bytes", () => {
    const data = new Uint8Array(new Float32Array([1, 2]).buffer);
    const bytes = encodeSafetensors([{ name: "w", dtype: "float32", shape: [2], data }]);
    const json = '{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}';
    expect([...bytes.subarray(0, 8)]).toEqual([56, 0, 0, 0, 0, 0, 0, 0]);
    expect(new TextDecoder().decode(bytes.subarray(8, 64))).toBe(json.padEnd(56));
    expect(bytes.subarray(64)).toEqual(data);
  });

  it("keeps the given order and gives the same bytes twice", () => {
    const tensor = (name: string): StoredTensor => ({
      name,
      dtype: "uint8",
      shape: [3],
      data: Uint8Array.of(1, 2, 3),
    });
    const bytes = encodeSafetensors([tensor("b"), tensor("a")]);
    expect([...decodeSafetensors(bytes, "x").tensors.keys()]).toEqual(["b", "a"]);
    expect(encodeSafetensors([tensor("b"), tensor("a")])).toEqual(bytes);
    expect(encodeSafetensors([tensor("a"), tensor("b")])).not.toEqual(bytes);
  });

  it("refuses a caller's repeated name, reserved name, or data that do not fit the shape", () => {
    const good: StoredTensor = { name: "a", dtype: "float32", shape: [], data: new Uint8Array(4) };
    expect(() => encodeSafetensors([good, good])).toThrow("is taken");
    expect(() => encodeSafetensors([{ ...good, name: "__metadata__" }])).toThrow("is taken");
    expect(() => encodeSafetensors([{ ...good, shape: [2] }])).toThrow("4 bytes");
  });
});

describe("safetensors: reading", () => {
  it("gives back what was written, for 300 random files", () => {
    for (let seed = 0; seed < 300; seed++) {
      const tensors = randomTensors(randomFrom(seed));
      const metadata = seed % 2 === 0 ? { format: "mttc", ["__proto__"]: `seed ${seed}` } : {};
      const read = decodeSafetensors(encodeSafetensors(tensors, metadata), "x");
      expect([...read.tensors.values()].sort((a, b) => (a.name < b.name ? -1 : 1))).toEqual(
        tensors.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
      );
      expect(Object.entries(read.metadata)).toEqual(Object.entries(metadata));
    }
  });

  it("never throws anything but its two codes, for any one byte changed or any cut", () => {
    const tensors = randomTensors(randomFrom(7)).filter(({ data }) => data.length < 100);
    const bytes = encodeSafetensors(tensors, { note: "x" });
    const allowed = ["E_ST_HEADER", "E_ST_LAYOUT"];
    for (let at = 0; at < bytes.length; at++) {
      expect(allowed).toContain(codeOf(bytes.subarray(0, at)));
      for (const flip of [1, 4, 32, 128]) {
        const changed = bytes.slice();
        changed[at]! ^= flip;
        expect([...allowed, "accepted"]).toContain(codeOf(changed));
      }
    }
  });

  it.each<[string, Uint8Array]>([
    ["an empty file", new Uint8Array(0)],
    ["a file of 7 bytes", new Uint8Array(7)],
    ["length 2^64-1", file("{}", 0, 2n ** 64n - 1n)],
    ["length 100,000,001", file("{}", 0, 100_000_001n)],
    ["length 0", file("{}", 0, 0n)],
    ["length past the end", file("{}", 0, 3n)],
    ["text that is not JSON", file("{hello}")],
    ["an array", file("[]")],
    ["bad UTF-8", file(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d))],
    ["a byte order mark", file("\ufeff{}")],
    ["a leading space", file(" {}")],
    ["a negative dim", file(`{"a":${entry([-1], [0, 4])}}`, 4)],
    ["a float dim", file(`{"a":${entry([1.5], [0, 4])}}`, 4)],
    ["a dim written 1.0", file('{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}', 4)],
    ["a dim written 1e0", file('{"a":{"dtype":"F32","shape":[1e0],"data_offsets":[0,4]}}', 4)],
    ["a dim above 2^53", file('{"a":{"dtype":"F32","shape":[9007199254740993],"data_offsets":[0,4]}}', 4)],
    ["a negative offset", file(`{"a":${entry([1], [-4, 0])}}`, 4)],
    ["three offsets", file(`{"a":${entry([1], [0, 4, 4])}}`, 4)],
    ["an unknown dtype", file(`{"a":${entry([1], [0, 4], "F31")}}`, 4)],
    ["a dtype that is not text", file(`{"a":${entry([1], [0, 4], 1)}}`, 4)],
    ["an entry without shape", file('{"a":{"dtype":"F32","data_offsets":[0,4]}}', 4)],
    [
      "a shape given by __proto__",
      file('{"a":{"dtype":"F32","__proto__":{"shape":[1]},"data_offsets":[0,4]}}', 4),
    ],
    ["an entry that is a list", file('{"a":[]}')],
    ["metadata that is not text", file('{"__metadata__":{"a":1}}')],
    ["metadata that is a list", file('{"__metadata__":["a"]}')],
    ["100,000 nested arrays", file(`{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`)],
    ["equal duplicate keys", file(`{"a":${entry([1], [0, 4])},"a":${entry([1], [0, 4])}}`, 4)],
    ["differing duplicate keys", file(`{"a":${entry([1], [0, 4])},"\\u0061":${entry([1], [4, 8])}}`, 8)],
    ["duplicate fields", file('{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4)],
    ["a string that never ends", file(`{"${'\\"'.repeat(500_000)}`)],
  ])("refuses %s as E_ST_HEADER", (_, bytes) => {
    expect(codeOf(bytes)).toBe("E_ST_HEADER");
  });

  it.each<[string, Uint8Array]>([
    ["an overlap", file(`{"a":${entry([2], [0, 8])},"b":${entry([2], [4, 12])}}`, 12)],
    ["two tensors in one place", file(`{"a":${entry([1], [0, 4])},"b":${entry([1], [0, 4])}}`, 4)],
    ["a hole", file(`{"a":${entry([1], [0, 4])},"b":${entry([1], [8, 12])}}`, 12)],
    ["a hole at the begin", file(`{"a":${entry([1], [4, 8])}}`, 8)],
    ["data out of range", file(`{"a":${entry([2], [0, 8])}}`, 4)],
    ["inverted offsets", file(`{"a":${entry([0], [4, 0])}}`, 4)],
    ["a size that does not fit the shape", file(`{"a":${entry([3], [0, 8])}}`, 8)],
    ["trailing bytes", file(`{"a":${entry([1], [0, 4])}}`, 5)],
    ["data without tensors", file("{}", 8)],
    ["a product that overflows", file(`{"a":${entry([2 ** 40, 2 ** 40], [0, 4])}}`, 4)],
    ["a product that wraps to the right size", file(`{"a":${entry([2 ** 32, 2 ** 32, 0], [0, 0])}}`)],
  ])("refuses %s as E_ST_LAYOUT", (_, bytes) => {
    expect(codeOf(bytes)).toBe("E_ST_LAYOUT");
  });

  it("accepts an empty name, __proto__, an unknown field, trailing spaces, no tensors", () => {
    const unknown = '{"dtype":"U8","shape":[0],"data_offsets":[8,8],"x":null}';
    const odd = `{"":${entry([1], [0, 4])},"__proto__":${entry([], [4, 8])},"c":${unknown}}  `;
    const { tensors } = decodeSafetensors(file(odd, 8), "x");
    expect([...tensors.keys()]).toEqual(["", "__proto__", "c"]);
    expect(Object.hasOwn(Object.prototype, "dtype")).toBe(false);
    expect(decodeSafetensors(file("{}"), "x").tensors.size).toBe(0);
  });
});
