// Walks the nodes of a foreign graph, its branches and its functions, and builds the graph of opset 18 node
// by node by the rules of structure.ts. Names must be defined before use and once; nesting and the number
// of nodes are bounded.
import type {
  AttributeProto,
  FunctionProto,
  GraphProto,
  NodeProto,
  TensorProto,
} from "../../codec/onnxSchema.ts";
import { type ErrorCode, type Fault, MttcError } from "../../diagnostics.ts";
import { GraphBuilder } from "../../ir/builder.ts";
import type { OpTable } from "../../ir/op.ts";
import type { TensorKind, TensorSource } from "../../ir/tensorSource.ts";
import type { Dim, TensorData, Value } from "../../ir/types.ts";
import { FixedBatch } from "./fixedBatch.ts";
import { findRule } from "./importRule.ts";
import type { ModelInput } from "./modelInput.ts";
import {
  type ImportContext,
  type Imported,
  isSequence,
  isValue,
  NodeCall,
  type Results,
} from "./nodeCall.ts";
import { namesRead, neededNodes, Scope } from "./scope.ts";
import { foldSizes } from "./sizeArithmetic.ts";
import { probesFor } from "./sizeList.ts";
import { CUT_HINT, guarded, knownNumbers, standardNode } from "./standardNode.ts";
import { IMPORT_RULES } from "./structure.ts";
import { type ExternalData, readTensorData } from "./tensorValues.ts";

/** Nodes that may be converted, those in functions counted at each call. */
const MAX_NODES = 100_000;
/** Branches and functions inside each other. */
const MAX_DEPTH = 32;
/** Faults that are reported together. */
const MAX_FAULTS = 20;

/** Faults of one node that a trunk can do without, if it lies behind the cut. */
const LEFT_OUT: readonly ErrorCode[] = ["E_MODEL_OP", "E_MODEL_SHAPE"];

export interface ImporterOptions {
  readonly file: string;
  readonly ops: OpTable;
  /** The image input; a caller that has none defines its inputs itself, with sizes that are known. */
  readonly image: ModelInput | undefined;
  readonly batch: Dim;
  readonly functions: readonly FunctionProto[];
  readonly externalData: ExternalData | undefined;
  /** What the exporter wrote beside the file's initializers, by name. */
  readonly declared?: ReadonlyMap<string, TensorKind>;
}

/** What convertReadable has left. */
export interface Readable {
  /** Names of the values that were not read. */
  readonly missing: ReadonlySet<string>;
  /** Values that were read and that unread nodes need. */
  readonly border: ReadonlySet<Value>;
  /** Why the first was not read; undefined if all was, or if only inputs are missing. */
  readonly fault: MttcError | undefined;
  /** Nodes that were not read. */
  readonly count: number;
}

export class GraphImporter {
  readonly b: GraphBuilder;
  readonly notes = new Set<string>();
  /** The file's name of each value; a value that has two keeps the first. */
  readonly names = new Map<Value, string>();
  /** What the file says of its constants. */
  readonly sources = new Map<Value, TensorSource>();
  readonly #options: ImporterOptions;
  readonly #functions: ReadonlyMap<string, FunctionProto>;
  readonly #active: FunctionProto[] = [];
  readonly #weights = new Map<Value, TensorData | undefined>();
  /** Outputs that import does not make, by name: the operator that the file has for them. */
  readonly #unmade = new Map<string, string>();
  readonly #shared: Pick<ImportContext, "batch" | "probes" | "image" | "fixedBatch" | "batchFlags">;
  #converted = 0;

  constructor(name: string, options: ImporterOptions) {
    this.b = new GraphBuilder(name, options.ops);
    this.#options = options;
    this.#functions = new Map(
      options.functions.map((each) => [functionKey(each.domain, each.name, each.overload), each]),
    );
    const { batch } = options;
    const fileBatch = options.image?.fileBatch;
    const image = options.image && this.#declare(options.image);
    const isFixed = image !== undefined && fileBatch !== undefined && fileBatch !== batch;
    const fixedBatch = isFixed ? new FixedBatch(image, fileBatch) : undefined;
    this.#shared = { batch, probes: probesFor(fileBatch), image, fixedBatch, batchFlags: new Map() };
  }

  /** The image input, if there is one. */
  get image(): Value | undefined {
    return this.#shared.image;
  }

  #declare({ name, dtype, shape }: ModelInput): Value {
    return this.b.within("fcn/image", () => this.b.input(name, dtype, shape));
  }

  /**
   * Converts the nodes that `results` need. E_MODEL_* point at the file's node; unknown operators come
   * together.
   */
  convert(nodes: readonly NodeProto[], results: readonly string[], scope: Scope): void {
    const needed = neededNodes(nodes, results);
    this.#refuseUnknown(needed, scope);
    for (const node of needed) this.#convertNode(node, scope);
  }

  /**
   * Converts what can be read of the nodes that `results` need. A node that is refused, or needs what is
   * not read (`unread`, names), is left out with all that follows from it.
   */
  convertReadable(
    nodes: readonly NodeProto[],
    results: readonly string[],
    scope: Scope,
    unread: ReadonlySet<string>,
  ): Readable {
    const missing = new Set(unread);
    const border = new Set<Value>();
    const needed = neededNodes(nodes, results);
    let fault: MttcError | undefined;
    let count = 0;
    for (const node of needed) {
      const refusal = [...namesRead(node)].some((name) => missing.has(name)) || this.#refusal(node, scope);
      if (refusal === undefined) continue;
      count += 1;
      if (refusal instanceof MttcError) fault ??= refusal;
      for (const name of node.output) missing.add(name);
      for (const name of namesRead(node)) {
        const found = missing.has(name) ? undefined : scope.known(name);
        const values = found && isSequence(found) ? found.items : [found];
        for (const value of values)
          if (value && isValue(value) && !this.b.constantData(value)) border.add(value);
      }
    }
    if (fault?.code === "E_MODEL_OP") fault = this.#unknownOperators(needed, scope) ?? fault;
    return { missing, border, fault, count };
  }

  /** Converts a node; why it is refused, if that leaves the rest readable. */
  #refusal(node: NodeProto, scope: Scope): MttcError | undefined {
    try {
      this.#refuseUnknown([node], scope);
      this.#convertNode(node, scope);
      return undefined;
    } catch (error) {
      if (error instanceof MttcError && LEFT_OUT.includes(error.code)) return error;
      throw error;
    }
  }

  #unknownOperators(nodes: readonly NodeProto[], scope: Scope): MttcError | undefined {
    try {
      this.#refuseUnknown(nodes, scope);
      return undefined;
    } catch (error) {
      if (error instanceof MttcError) return error;
      throw error;
    }
  }

  /** What a name stands for; E_MODEL_PARSE if it is not defined yet, E_MODEL_OP if import leaves it out. */
  find(name: string, scope: Scope, user: string): Imported {
    let isNew = false;
    const read = (tensor: TensorProto): TensorData => {
      isNew = true;
      return this.readTensor(tensor);
    };
    const known = scope.find(name, this.b, read);
    const maker = this.#unmade.get(`${scope.prefix}${name}`);
    if (!known && maker !== undefined)
      this.#fail("E_MODEL_OP", user, `"${name}" is an output of ${maker} that is not supported`);
    const found =
      known ??
      this.#fail(
        "E_MODEL_PARSE",
        user,
        `"${name}" is not defined before it is used (a cycle, or nodes out of order)`,
      );
    if (isNew && isValue(found)) this.#addInitializer(found, name);
    return found;
  }

  /** Whatever holds floats may have been learned; constants of our own exports are called so. */
  #addInitializer(value: Value, name: string): void {
    if (value.type.dtype !== "float32") return;
    const isOurs = name.startsWith("const/");
    this.#weights.set(value, knownNumbers(this.b.constantData(value)));
    this.sources.set(value, {
      kind: isOurs ? "constant" : (this.#options.declared?.get(name) ?? "initializer"),
    });
  }

  /** The value of a name; E_MODEL_OP for symbolic sizes, which are no tensors. */
  findValue(name: string, scope: Scope, user: string): Value {
    const found = this.find(name, scope, user);
    if (isValue(found)) return found;
    const what = isSequence(found) ? "a sequence" : "symbolic sizes";
    return this.#fail("E_MODEL_OP", user, `"${name}" holds ${what}`);
  }

  readTensor(tensor: TensorProto): TensorData {
    try {
      return readTensorData(tensor, this.#options.externalData);
    } catch (error) {
      if (!(error instanceof MttcError)) throw error;
      const faults = error.faults.map((fault) => ({
        ...fault,
        at: { file: this.#options.file, ...fault.at },
      }));
      throw new MttcError(faults, { cause: error });
    }
  }

  #convertNode(node: NodeProto, scope: Scope): void {
    const name = `${scope.prefix}${node.name || node.output.find((output) => output !== "") || node.opType}`;
    this.#converted += 1;
    if (this.#converted > MAX_NODES)
      this.#fail("E_MODEL_ALLOC", name, `more than ${MAX_NODES} nodes, those in functions included`);
    const inputs = node.input.map((input) => (input === "" ? undefined : this.find(input, scope, name)));
    const domain = ownDomain(node.domain);
    const call = new NodeCall(
      {
        operator: node.opType,
        domain,
        name,
        opset: scope.opsets.get(domain) ?? 0,
        inputs,
        outputs: node.output.map((output) => (output === "" ? "" : `${scope.prefix}${output}`)),
        attributes: this.#attributes(node, scope, name),
      },
      this.#contextFor(scope),
    );
    const results = this.b.within(`fcn/${name}`, () => this.#resultsOf(call, node, scope));
    guarded(call, () => this.#shared.fixedBatch?.follow(call));
    node.output.forEach((output, i) => {
      const result = results[i];
      if (output !== "" && result === undefined) this.#unmade.set(`${scope.prefix}${output}`, node.opType);
      if (output === "" || result === undefined) return;
      if (!scope.define(output, result)) this.#fail("E_MODEL_PARSE", name, `"${output}" is defined twice`);
      if (isValue(result) && !this.names.has(result)) this.names.set(result, `${scope.prefix}${output}`);
    });
  }

  #resultsOf(call: NodeCall, node: NodeProto, scope: Scope): Results {
    const body = this.#functions.get(functionKey(call.domain, node.opType, node.overload));
    if (body) return this.#inlineFunction(call, body, scope);
    const rule = call.domain === "" ? findRule(IMPORT_RULES, call.operator, call.opset) : undefined;
    if (rule?.treatment === "refused")
      return call.fail("E_MODEL_OP", `is not supported: ${rule.reason}`, CUT_HINT);
    const convert = (each: NodeCall): Results => rule?.convert?.(each) ?? standardNode(each);
    return guarded(call, () => foldSizes(call, convert) ?? convert(call));
  }

  #inlineFunction(call: NodeCall, body: FunctionProto, scope: Scope): Results {
    if (this.#active.includes(body)) call.fail("E_MODEL_PARSE", "the function calls itself");
    const attributes = new Map(body.attributeProto.map((each) => [each.name, each]));
    for (const [name, attribute] of call.attributes) attributes.set(name, attribute);
    const inner = this.#enter(call, {
      opsets: body.opsetImport.length > 0 ? opsetVersions(body.opsetImport) : scope.opsets,
      attributes,
      depth: scope.depth + 1,
    });
    body.input.forEach((name, i) => {
      const input = call.inputs[i];
      if (input) inner.define(name, input);
    });
    this.#active.push(body);
    // An optional input that the caller leaves out is left out inside too.
    const absent = new Set(body.input.filter((_, i) => !call.inputs[i]));
    const nodes = body.node.map((node) => ({
      ...node,
      input: node.input.map((name) => (absent.has(name) ? "" : name)),
    }));
    try {
      this.convert(nodes, body.output, inner);
    } finally {
      this.#active.pop();
    }
    return body.output.map((name) => this.find(name, inner, call.name));
  }

  #convertBranch(call: NodeCall, graph: GraphProto, scope: Scope): Results {
    const inner = this.#enter(call, {
      opsets: scope.opsets,
      ...(scope.attributes && { attributes: scope.attributes }),
      depth: scope.depth + 1,
      parent: scope,
      initializers: graph.initializer,
    });
    const results = graph.output.map(({ name }) => name);
    this.convert(graph.node, results, inner);
    return results.map((name) => this.find(name, inner, call.name));
  }

  #enter(call: NodeCall, fields: Omit<ConstructorParameters<typeof Scope>[0], "prefix">): Scope {
    if (fields.depth > MAX_DEPTH)
      call.fail("E_MODEL_PARSE", `more than ${MAX_DEPTH} branches or functions inside each other`);
    return new Scope({ prefix: `${call.name}/`, ...fields });
  }

  #contextFor(scope: Scope): ImportContext {
    // Field by field: files can make very many contexts, and a spread is slow.
    const { batch, probes, image, fixedBatch, batchFlags } = this.#shared;
    return {
      b: this.b,
      batch,
      probes,
      image,
      fixedBatch,
      batchFlags,
      file: this.#options.file,
      notes: this.notes,
      weights: this.#weights,
      sources: this.sources,
      readTensor: (tensor) => this.readTensor(tensor),
      convertBranch: (call, graph) => this.#convertBranch(call, graph, scope),
    };
  }

  /** The node's attributes, references to those of the calling node resolved. */
  #attributes(node: NodeProto, scope: Scope, name: string): Map<string, AttributeProto> {
    const attributes = new Map<string, AttributeProto>();
    for (const attribute of node.attribute) {
      if (attributes.has(attribute.name))
        this.#fail("E_MODEL_PARSE", name, `attribute ${attribute.name} is given twice`);
      if (!attribute.refAttrName) attributes.set(attribute.name, attribute);
      else {
        const given = scope.attributes?.get(attribute.refAttrName);
        // Absent without a default: the operator's own default holds.
        if (given) attributes.set(attribute.name, { ...given, name: attribute.name });
      }
    }
    return attributes;
  }

  /** One error for all nodes whose operator cannot be imported whatever its inputs are. */
  #refuseUnknown(nodes: readonly NodeProto[], scope: Scope): void {
    const faults: Fault[] = [];
    const seen = new Set<string>();
    for (const node of nodes) {
      const domain = ownDomain(node.domain);
      const key = functionKey(domain, node.opType, node.overload);
      if (this.#functions.has(key) || seen.has(key)) continue;
      const reason = this.#unknownReason(node.opType, domain, scope);
      if (reason === undefined) continue;
      seen.add(key);
      const at = { file: this.#options.file, node: `${scope.prefix}${node.name || node.output[0]}` };
      faults.push({ code: "E_MODEL_OP", message: `${node.opType}: ${reason}`, at, hint: CUT_HINT });
    }
    if (faults.length > 0) throw new MttcError(faults.slice(0, MAX_FAULTS));
  }

  #unknownReason(operator: string, domain: string, scope: Scope): string | undefined {
    if (domain !== "") return `operators of the domain ${domain} are not supported`;
    const rule = findRule(IMPORT_RULES, operator, scope.opsets.get("") ?? 0);
    if (rule) return rule.treatment === "refused" ? `is not supported: ${rule.reason}` : undefined;
    return this.b.ops.get(operator)?.domain === "" ? undefined : "the operator is not supported";
  }

  #fail(code: Fault["code"], node: string, message: string): never {
    throw new MttcError({ code, message, at: { file: this.#options.file, node } });
  }
}

/** ONNX's own domain has two spellings. */
export function ownDomain(domain: string | undefined): string {
  return domain === undefined || domain === "ai.onnx" ? "" : domain;
}

/** Versions of operator sets by domain. */
export function opsetVersions(
  imports: readonly { readonly domain: string; readonly version: number }[],
): Map<string, number> {
  return new Map(imports.map(({ domain, version }) => [ownDomain(domain), version]));
}

function functionKey(domain: string, name: string, overload = ""): string {
  return JSON.stringify([ownDomain(domain), name, overload]);
}
