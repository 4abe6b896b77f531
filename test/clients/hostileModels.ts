// Model files that lie: a sound one whose metadata were changed, cut, swollen or taken away. Every client
// refuses each with a typed error; one that opened such a file would index past an array, or allocate by a
// stranger's number.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { decodeModelProto, encodeModelProto } from "../../compiler/codec/protobuf.ts";
import { METADATA_KEY } from "../../compiler/export/modelMetadata.ts";

type Entry = Readonly<Record<string, unknown>>;
interface Meta extends Entry {
  readonly preprocessing: Entry;
  readonly reading: Entry;
  readonly tasks: readonly Entry[];
}

/** What each does to the JSON object of a sound file of several tasks. */
const CHANGES: Readonly<Record<string, (meta: Meta) => unknown>> = {
  "another format": (meta) => ({ ...meta, format: "somebody's" }),
  "a version to come": (meta) => ({ ...meta, version: 99 }),
  "a version that is text": (meta) => ({ ...meta, version: "1" }),
  "a part of a split export": (meta) => ({ ...meta, kind: "head" }),
  "a kind of file that is a list": (meta) => ({ ...meta, kind: ["model"] }),
  "no preprocessing": ({ preprocessing: _, ...meta }) => meta,
  "a list for an object": (meta) => [meta],
  "no tasks": (meta) => ({ ...meta, tasks: [] }),
  "tasks that are an object": (meta) => ({ ...meta, tasks: { ...meta.tasks } }),
  "a million tasks": (meta) => ({ ...meta, tasks: Array(1_000_000).fill(0) }),
  "a task of two names": (meta) => withTask(meta, { name: ["a", "b"] }),
  "two tasks of one name": (meta) => ({ ...meta, tasks: [meta.tasks[0], meta.tasks[0]] }),
  "an output that is not there": (meta) => withTask(meta, { output: "nowhere" }),
  "an output that is the input": (meta) => withTask(meta, { output: "image" }),
  "a class more": (meta) => withTask(meta, { classes: [...classesOf(meta), "more"] }),
  "a class less": (meta) => withTask(meta, { classes: classesOf(meta).slice(1) }),
  "no classes": (meta) => withTask(meta, { classes: [] }),
  "classes that are numbers": (meta) => withTask(meta, { classes: [1, 2] }),
  "two classes of one name": (meta) => withTask(meta, { classes: ["x", "x"] }),
  "a kind of task that is unknown": (meta) => withTask(meta, { kind: "somebody's" }),
  "an answer left open below text": (meta) => withTask(meta, { unsure: { below: "half" } }),
  "thresholds for other tags": (meta) => withTags(meta, { thresholds: [0.5] }),
  "tags that are none": (meta) => withTags(meta, { tags: null }),
  "a height of zero": (meta) => withSize(meta, { height: 0 }),
  "a negative width": (meta) => withSize(meta, { width: -32 }),
  "a height with a fraction": (meta) => withSize(meta, { height: 24.5 }),
  "a height past all bounds": (meta) => withSize(meta, { height: 1e300 }),
  "a size of 192 GB": (meta) => withSize(meta, { height: 65_536, width: 65_536, channels: 16 }),
  "a size that is not the graph's": (meta) => withSize(meta, { height: 25 }),
  "another layout": (meta) => withSize(meta, { layout: "NCHW" }),
  "an unknown type of pixels": (meta) => withSize(meta, { dtype: "uint7" }),
  "rules of reading to come": (meta) => ({ ...meta, reading: { ...meta.reading, version: 99 } }),
};

const TEXTS: Readonly<Record<string, string>> = {
  "no JSON": "{",
  "no text": "",
  null: "null",
  "half a surrogate": '{"format": "\\ud800"',
  "100,000 lists in each other": "[".repeat(100_000),
  "100,000 objects in each other": `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`,
  "a prototype": '{"__proto__": {"format": "mttc-model"}, "constructor": 1}',
};

function classesOf({ tasks: [first] }: Meta): readonly string[] {
  return first?.classes as string[];
}

function withTask(meta: Meta, change: object): object {
  const [first, ...others] = meta.tasks;
  return { ...meta, tasks: [{ ...first, ...change }, ...others] };
}

function withTags(meta: Meta, change: object): object {
  return {
    ...meta,
    tasks: meta.tasks.map((task) => (task.kind === "tags" ? { ...task, ...change } : task)),
  };
}

function withSize(meta: Meta, change: object): object {
  return { ...meta, preprocessing: { ...meta.preprocessing, ...change } };
}

/** Writes the hostile files of a sound one (two classes in its first task, a task of tags) into a folder. */
export function writeHostileModels(sound: string, folder: string): { name: string; file: string }[] {
  const bytes = readFileSync(sound);
  const model = decodeModelProto(bytes);
  const meta: Meta = JSON.parse(model.metadataProps?.find(({ key }) => key === METADATA_KEY)?.value ?? "{}");
  const relabelled = (value: string) =>
    encodeModelProto({ ...model, metadataProps: [{ key: METADATA_KEY, value }] });
  const files: [string, Uint8Array][] = [
    ...Object.entries(CHANGES).map(([name, change]): [string, Uint8Array] => [
      name,
      relabelled(JSON.stringify(change(meta))),
    ]),
    ...Object.entries(TEXTS).map(([name, text]): [string, Uint8Array] => [name, relabelled(text)]),
    ["no metadata", encodeModelProto({ ...model, metadataProps: [] })],
    ["half a file", bytes.subarray(0, bytes.length / 2)],
    ["a picture's bytes", Buffer.from("\x89PNG\r\n\x1a\n")],
    ["no bytes", new Uint8Array()],
  ];
  return files.map(([name, content], i) => {
    const file = join(folder, `hostile-${i}.onnx`);
    writeFileSync(file, content);
    return { name, file };
  });
}

/** Picture files that are none, by name. */
export function writeBadPictures(folder: string, sound: string): string[] {
  const bytes = readFileSync(sound);
  const contents: Readonly<Record<string, Uint8Array | string>> = {
    "cut.png": bytes.subarray(0, Math.floor(bytes.length * 0.6)),
    "empty.png": "",
    "text.jpg": "no picture at all",
    "huge.png": hugeHeader(bytes),
  };
  return Object.entries(contents).map(([name, content]) => {
    const file = join(folder, name);
    writeFileSync(file, content);
    return file;
  });
}

/** A PNG whose header says 100,000 x 100,000 pixels. */
function hugeHeader(png: Buffer): Uint8Array {
  const changed = Buffer.from(png);
  changed.writeUInt32BE(100_000, 16);
  changed.writeUInt32BE(100_000, 20);
  return changed;
}
