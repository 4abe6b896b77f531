// The printed form of a graph and its parser: one node a line, aligned, the origin as trailing comment.
// parse(print(g)) equals g when all constants are printed in full.
import { InternalError } from "../diagnostics.ts";
import { GraphBuilder } from "./builder.ts";
import type { OpTable } from "./op.ts";
import type { Attrs, Graph, Node, TensorData, Value } from "./types.ts";
import { parseTypeText, typeText } from "./types.ts";

/** Constants with more numbers than this are abbreviated unless `full` is asked for. */
const SHOWN_NUMBERS = 16;

/** Text of a graph; `full` prints every number of every constant, so that the text can be parsed again. */
export function printGraph(graph: Graph, full = false): string {
  const lines: [head: string, body: string, origin: string][] = [];
  for (const value of graph.inputs) lines.push([declare(value), "Input", value.origin]);
  for (const [value, data] of graph.constants)
    lines.push([declare(value), `Constant ${numbersText(data, full)}`, value.origin]);
  for (const node of graph.nodes)
    lines.push([node.outputs.map(declare).join(", "), nodeText(node), node.outputs[0]?.origin ?? ""]);
  const width = lines.reduce((most, [head]) => Math.min(72, Math.max(most, head.length)), 0);
  const bodyWidth = lines.reduce((most, [, body]) => Math.min(60, Math.max(most, body.length)), 0);
  const text = lines.map(
    ([head, body, origin]) => `${head.padEnd(width)} = ${body.padEnd(bodyWidth)} ; ${escapeOrigin(origin)}`,
  );
  const outputs = graph.outputs.map(({ name, value }) => `output ${escapeName(name)} = ${reference(value)}`);
  return `${[`graph ${graph.name}`, ...text, ...outputs].join("\n")}\n`;
}

/** Reads what printGraph wrote in full; an InternalError names the line that is not understood. */
export function parseGraph(text: string, ops: OpTable): Graph {
  const [first = "", ...lines] = text.replace(/\n$/, "").split("\n");
  const b = new GraphBuilder(first.replace(/^graph /, ""), ops);
  const values = new Map<string, Value>();
  const find = (name: string): Value | undefined =>
    name === "-" ? undefined : (values.get(name) ?? notUnderstood(`no value ${name}`));
  for (const line of lines) {
    const output = /^output (\S+) = (\S+)$/.exec(line);
    if (output) {
      b.output(unescapeName(output[1] ?? ""), find(output[2] ?? "") ?? notUnderstood(line));
      continue;
    }
    const match = /^(.*?) += (\S+) ?(.*?) +; (.*)$/.exec(line) ?? notUnderstood(line);
    const [, heads = "", opName = "", rest = ""] = match;
    const origin = unescapeName(match[4] ?? "");
    const outputs = heads.split(", ").map((head): Value => {
      const [name = "", type = ""] = head.trimEnd().split(/: (?=[^:]*$)/);
      const value: Value = { name: unescapeName(name.slice(1)), type: parseTypeText(type), origin };
      values.set(name, value);
      return value;
    });
    const value = outputs[0] ?? notUnderstood(line);
    if (opName === "Input") b.adoptInput(value);
    else if (opName === "Constant")
      b.adoptConstant(value, { ...constantType(value), data: parseNumbers(rest) });
    else {
      const [inputs = "", attrs] = rest.split(/ ?(?=\{)/, 2);
      const op = ops.get(opName) ?? notUnderstood(line);
      const names = inputs.trim() === "" ? [] : inputs.trim().split(", ");
      b.adoptNode({ op, inputs: names.map(find), outputs, attrs: parseAttrs(attrs) });
    }
  }
  return b.build();
}

function constantType(value: Value): Pick<TensorData, "dtype" | "shape"> {
  return { dtype: value.type.dtype, shape: value.type.shape.map(Number) };
}

function nodeText(node: Node): string {
  const inputs = node.inputs.map((input) => (input ? reference(input) : "-")).join(", ");
  const attrs = Object.entries(node.attrs);
  const inside = attrs.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(", ");
  return `${node.op.name} ${inputs}${attrs.length ? ` {${inside}}` : ""}`.trimEnd();
}

function parseAttrs(text: string | undefined): Attrs {
  if (!text) return {};
  const json = text.replace(/(?<=^\{|, )(\w+)=/g, (_, name: string) => `${JSON.stringify(name)}:`);
  return JSON.parse(json) as Attrs;
}

function numbersText(data: TensorData, full: boolean): string {
  const numbers = Array.from(data.data, (x) => (Object.is(x, -0) ? "-0" : String(x)));
  if (full || numbers.length <= SHOWN_NUMBERS) return `[${numbers.join(" ")}]`;
  return `[${numbers.slice(0, 4).join(" ")} ... ${numbers.length} numbers]`;
}

function parseNumbers(text: string): Float64Array {
  const inside = text.trim().slice(1, -1);
  if (inside.includes("...")) return notUnderstood(`${text} (print constants in full to parse them)`);
  return Float64Array.from(inside === "" ? [] : inside.split(" ").map(Number));
}

function declare(value: Value): string {
  return `${reference(value)}: ${typeText(value.type)}`;
}

function reference(value: Value): string {
  return `%${escapeName(value.name)}`;
}

/** Task names may hold anything; blanks, commas and braces would break the line format. */
function escapeName(name: string): string {
  return name.replace(/[\s,{}%]/g, (c) => `%${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Origins may hold blanks, but end with the line. */
function escapeOrigin(origin: string): string {
  return origin.replace(/[\n\r\u2028\u2029]|%(?=[0-9a-f]{4})/g, escapeName);
}

function unescapeName(name: string): string {
  return name.replace(/%([0-9a-f]{4})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
}

function notUnderstood(line: string): never {
  throw new InternalError(`graph text not understood: ${line}`);
}
