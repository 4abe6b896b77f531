// A bundle whose tensors, graphs and files have other names, which say nothing: whoever reads roles trains it
// all the same.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { GraphEntry, Manifest } from "../../compiler/bundle/manifest.ts";
import type { GraphProto, ModelProto } from "../../compiler/codec/onnxSchema.ts";
import { decodeModelProto, encodeModelProto } from "../../compiler/codec/protobuf.ts";
import { decodeSafetensors, encodeSafetensors } from "../../compiler/codec/safetensors.ts";

/** Keys of a manifest that hold a tensor's name. */
const NAMING: ReadonlySet<string> = new Set(["name", "replaces", "weights", "of"]);

/** Renames all in the bundle of `folder`; returns the old names of its state tensors by their new ones. */
export function renameBundle(folder: string): Map<string, string> {
  const path = join(folder, "manifest.json");
  const manifest = JSON.parse(readFileSync(path, "utf8")) as Manifest;
  const names = new Map<string, string>();
  const entries = Object.values(manifest.graphs).flatMap(({ inputs, outputs }) => [...inputs, ...outputs]);
  for (const { name } of [...entries, ...manifest.state])
    if (!names.has(name)) names.set(name, `t${names.size}`);
  const renamed = (name: string): string => names.get(name) ?? name;
  const graphs = Object.values(manifest.graphs).map((graph, i): [string, GraphEntry] => {
    const bytes = encodeModelProto(
      renameTensors(decodeModelProto(readFileSync(join(folder, graph.file))), renamed),
    );
    rmSync(join(folder, graph.file));
    writeFileSync(join(folder, `${i}.onnx`), bytes);
    return [`g${i}`, { ...renameKeys(graph, renamed), file: `${i}.onnx` }];
  });
  const state = renameKeys(manifest.state, renamed);
  writeFileSync(path, JSON.stringify({ ...manifest, graphs: Object.fromEntries(graphs), state }));
  const file = join(folder, "state.safetensors");
  const { tensors } = decodeSafetensors(readFileSync(file), file);
  const stored = [...tensors.values()].map((tensor) => ({ ...tensor, name: renamed(tensor.name) }));
  writeFileSync(file, encodeSafetensors(stored));
  return new Map(manifest.state.map(({ name }) => [renamed(name), name]));
}

function renameTensors(model: ModelProto, renamed: (name: string) => string): ModelProto {
  const { graph } = model;
  if (!graph) throw new Error("a model without a graph");
  const named = <T extends { readonly name: string }>(list: readonly T[]): T[] =>
    list.map((each) => ({ ...each, name: renamed(each.name) }));
  const changed: GraphProto = {
    ...graph,
    ...{ input: named(graph.input), output: named(graph.output), valueInfo: named(graph.valueInfo ?? []) },
    node: graph.node.map((node) => ({
      ...node,
      input: node.input.map(renamed),
      output: node.output.map(renamed),
    })),
  };
  return { ...model, graph: changed };
}

/** The same value with other names wherever a key names a tensor; tasks keep theirs. */
function renameKeys<T>(value: T, renamed: (name: string) => string): T {
  if (Array.isArray(value)) return value.map((each) => renameKeys(each, renamed)) as T;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      NAMING.has(key) && typeof inner === "string" ? renamed(inner) : renameKeys(inner, renamed),
    ]),
  ) as T;
}
