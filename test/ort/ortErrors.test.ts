// Nodes and origins in ONNX Runtime's messages (as 1.29 words them), and errors across the message channel.
import { expect, test } from "vitest";
import { InternalError, MttcError } from "../../compiler/diagnostics.ts";
import { nodeOfMessage, originOfNode } from "../../runtime/ort/ortErrors.ts";
import { packError, unpackError } from "../../runtime/threads/faultTransfer.ts";

const node = "gradient(tasks.species.layers[2])/Conv";

test.each([
  ["running", `Non-zero status code returned while running Conv node. Name:'${node}' Status Message: bad`],
  ["shape inference", `Node (${node}) Op (Conv) [ShapeInferenceError] Incompatible dimensions`],
  ["type check", `Type Error: bound to different types (tensor(float) and tensor(int64) in node (${node}).`],
  ["unknown operator", `This is an invalid model. In Node, ("${node}", Foo, "", -1) : ("a": tensor(float),)`],
  ["missing kernel", `Could not find an implementation for Conv(11) node with name '${node}'`],
])("the node is found in a message of %s", (_, message) => {
  expect(nodeOfMessage(message)).toBe(node);
  expect(originOfNode(node)).toBe("gradient(tasks.species.layers[2])");
});

test("a message without a node gives none, a name without a slash has no origin", () => {
  expect(nodeOfMessage("Failed to load model because protobuf parsing failed.")).toBeUndefined();
  expect(originOfNode("Conv")).toBeUndefined();
});

test("errors survive the message channel with faults, class and stack", () => {
  const error = new MttcError([
    { code: "E_ORT", message: "bad", at: { node }, hint: "try again" },
    { code: "E_SHAPE", message: "worse" },
  ]);
  const back = unpackError(structuredClone(packError(error)));
  expect(back).toBeInstanceOf(MttcError);
  expect(back).toMatchObject({ faults: error.faults, message: error.message, stack: error.stack });
  expect(unpackError(structuredClone(packError(new InternalError("broken"))))).toBeInstanceOf(InternalError);
  const foreign = unpackError(structuredClone(packError(new TypeError("oops"))));
  expect(foreign).toBeInstanceOf(InternalError);
  expect(foreign.message).toContain("TypeError: oops");
});
