// The documents that are generated from the spec's schema: JSON Schema and Markdown table.
import { describe, expect, it } from "vitest";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { SPEC_KEYS, type SpecInput } from "../../compiler/spec/schema.ts";
import { specJsonSchema, specMarkdownTable } from "../../compiler/spec/specDocs.ts";
import { specWarnings } from "../../compiler/spec/specWarnings.ts";

describe("documents made from the schema", () => {
  it("the JSON Schema describes every key, requires tasks and fcn, and refuses others", () => {
    const schema = specJsonSchema();
    const properties = schema.properties as Record<string, { description?: string }>;
    expect(Object.keys(properties)).toEqual(SPEC_KEYS);
    for (const key of SPEC_KEYS) expect(properties[key]?.description, key).toMatch(/\.$/);
    expect(schema.required).toEqual(["tasks", "fcn"]);
    expect(schema.additionalProperties).toBe(false);
    expect(JSON.parse(JSON.stringify(schema))).toEqual(schema);
  });

  it("the table has a row per key with its default", () => {
    const rows = specMarkdownTable().split("\n");
    expect(rows).toHaveLength(SPEC_KEYS.length + 2);
    expect(rows).toContain(
      "| `weight_decay` | `0` | L2 penalty on the trained kernels (adamw: decoupled decay; lars: part of what it scales). |",
    );
    expect(rows.find((row) => row.startsWith("| `tasks`"))).toContain("required");
  });
});

describe("warnings", () => {
  function warningsOf(more: Partial<SpecInput>): string[] {
    return specWarnings(
      resolveSpec({ tasks: ["a", "b"], fcn: { layers: [8] }, train_fcn: true, shared_layers: [8], ...more }),
    );
  }

  it("a trained fcn with shared layers gives none", () => {
    expect(warningsOf({ task_weights: "adaptive" })).toEqual([]);
  });

  it.each<[string, Partial<SpecInput>, RegExp[]]>([
    ["a frozen random fcn", { train_fcn: false }, [/^fcn: frozen/]],
    ["nothing shared", { train_fcn: false, shared_layers: ["d"] }, [/^fcn/, /learn nothing from each other/]],
    [
      "adaptive weights without effect",
      { train_fcn: false, shared_layers: [], task_weights: "adaptive" },
      [/^fcn/, /^shared_layers/, /only rescale the heads' learning rates/],
    ],
    ["one adaptive task", { tasks: ["a"], task_weights: "adaptive" }, [/single task/]],
    ["a weight of 0", { task_weights: [1, 0] }, [/^task_weights\[1\]: task "b" is not trained/]],
    ["batch norm over micro-batches", { batchnorm: true, accumulate: 4 }, [/micro-batches of 16 images/]],
    ["no norm to synchronise", { sync_batchnorm: false }, [/^sync_batchnorm: false does nothing/]],
    ["dropout of 0", { dropout_rate: 0, shared_layers: [8, "d"] }, [/^dropout_rate/]],
  ])("%s is pointed out", (_, more, patterns) => {
    const warnings = warningsOf(more);
    expect(warnings).toHaveLength(patterns.length);
    for (const [index, pattern] of patterns.entries()) expect(warnings[index]).toMatch(pattern);
  });

  it("norms of one process among several are pointed out with the rows that they see", () => {
    const of = (sync_batchnorm: boolean, ranks: number) =>
      specWarnings(
        resolveSpec({ tasks: ["a"], fcn: { layers: [8] }, train_fcn: true, batchnorm: true, sync_batchnorm }),
        ranks,
      );
    expect(of(false, 4)).toEqual([expect.stringMatching(/^sync_batchnorm: .* sees 16 images/)]);
    expect([...of(true, 4), ...of(false, 1)]).toEqual([]);
  });
});
