// The protobuf messages of TensorBoard's event files that mttc writes, and their encoding. Field numbers are
// those of TensorBoard's event.proto, summary.proto, tensor.proto and hparams/plugin_data.proto.
import protobuf from "protobufjs/light.js";

/** TensorProto: of strings or floats. */
interface EventTensor {
  readonly dtype: number;
  readonly tensorShape: { readonly dim: readonly { readonly size: number }[] };
  readonly stringVal?: readonly Uint8Array[];
}

interface SummaryMetadata {
  readonly pluginData: { readonly pluginName: string; readonly content?: Uint8Array };
  readonly dataClass: number;
}

/** One value under a tag: a number, or a tensor that a plugin shows. */
export interface SummaryValue {
  readonly tag: string;
  readonly simpleValue?: number;
  readonly tensor?: EventTensor;
  readonly metadata?: SummaryMetadata;
}

/** An entry of an event file. */
export interface EventMessage {
  /** Seconds since 1970. */
  readonly wallTime: number;
  readonly step?: number;
  readonly fileVersion?: string;
  readonly sourceMetadata?: { readonly writer: string };
  readonly summary?: { readonly value: readonly SummaryValue[] };
  readonly sessionLog?: { readonly status: number };
}

/** SessionLog.SessionStatus: what was logged from the event's step on is superseded. */
export const SESSION_START = 1;
const DT_FLOAT = 1;
const DT_STRING = 7;
const DATA_CLASS_TENSOR = 2;
const DATA_CLASS_BLOB_SEQUENCE = 3;
/** hparams/api.proto, Status. */
export const SESSION_STATUS = { success: 1, failure: 2, running: 3 } as const;

const field = (id: number, type: string, rule?: "repeated") => ({ id, type, ...(rule ? { rule } : {}) });

/** A map from names to values. */
const HPARAMS: protobuf.IMapField = { ...field(1, "PlainValue"), keyType: "string" };

const ROOT = protobuf.Root.fromJSON({
  nested: {
    Event: {
      fields: {
        wallTime: field(1, "double"),
        step: field(2, "int64"),
        fileVersion: field(3, "string"),
        summary: field(5, "Summary"),
        sessionLog: field(7, "SessionLog"),
        sourceMetadata: field(10, "SourceMetadata"),
      },
    },
    SourceMetadata: { fields: { writer: field(1, "string") } },
    SessionLog: { fields: { status: field(1, "int32") } },
    Summary: { fields: { value: field(1, "Value", "repeated") } },
    Value: {
      // A number that is 0 is written all the same.
      oneofs: { value: { oneof: ["simpleValue", "tensor"] } },
      fields: {
        tag: field(1, "string"),
        simpleValue: field(2, "float"),
        tensor: field(8, "Tensor"),
        metadata: field(9, "Metadata"),
      },
    },
    Tensor: {
      fields: {
        dtype: field(1, "int32"),
        tensorShape: field(2, "Shape"),
        stringVal: field(8, "bytes", "repeated"),
      },
    },
    Shape: { fields: { dim: field(2, "Dim", "repeated") } },
    Dim: { fields: { size: field(1, "int64") } },
    Metadata: { fields: { pluginData: field(1, "PluginData"), dataClass: field(4, "int32") } },
    PluginData: { fields: { pluginName: field(1, "string"), content: field(2, "bytes") } },
    Hyperparameters: {
      fields: {
        version: field(1, "int32"),
        sessionStartInfo: field(3, "SessionStart"),
        sessionEndInfo: field(4, "SessionEnd"),
      },
    },
    SessionStart: {
      fields: {
        hparams: HPARAMS,
        groupName: field(4, "string"),
        startTimeSecs: field(5, "double"),
      },
    },
    SessionEnd: { fields: { status: field(1, "int32"), endTimeSecs: field(2, "double") } },
    PlainValue: {
      oneofs: { kind: { oneof: ["numberValue", "stringValue", "boolValue"] } },
      fields: {
        numberValue: field(2, "double"),
        stringValue: field(3, "string"),
        boolValue: field(4, "bool"),
      },
    },
  },
});
const EVENT = ROOT.lookupType("Event");
const HYPERPARAMETERS = ROOT.lookupType("Hyperparameters");

export function encodeEvent(event: EventMessage): Uint8Array {
  return EVENT.encode(event).finish();
}

/** The event in the bytes of a record; what mttc does not write is passed over. */
export function decodeEvent(bytes: Uint8Array): EventMessage {
  return EVENT.toObject(EVENT.decode(bytes), { longs: Number }) as EventMessage;
}

/** A text in Markdown. */
export function textValue(tag: string, text: string): SummaryValue {
  const stringVal = [new TextEncoder().encode(text)];
  const metadata = { pluginData: { pluginName: "text" }, dataClass: DATA_CLASS_TENSOR };
  return { tag, tensor: { dtype: DT_STRING, tensorShape: { dim: [{ size: 1 }] }, stringVal }, metadata };
}

/** A picture: the images plugin takes width and height as text, then encoded images. */
export function imageValue(tag: string, png: Uint8Array): SummaryValue {
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  const sizes = [view.getUint32(PNG_WIDTH_AT), view.getUint32(PNG_WIDTH_AT + 4)];
  const stringVal = [...sizes.map((size) => new TextEncoder().encode(String(size))), png];
  const metadata = { pluginData: { pluginName: "images" }, dataClass: DATA_CLASS_BLOB_SEQUENCE };
  const tensorShape = { dim: [{ size: stringVal.length }] };
  return { tag, tensor: { dtype: DT_STRING, tensorShape, stringVal }, metadata };
}

/** Where a PNG has its width, and its height behind it, as big-endian integers. */
const PNG_WIDTH_AT = 16;

/** The hyperparameters of a run, which TensorBoard lists beside its figures. */
export function sessionStartValue(
  hyperparameters: Readonly<Record<string, string | number | boolean>>,
  groupName: string,
  startTimeSecs: number,
): SummaryValue {
  const hparams = Object.fromEntries(
    Object.entries(hyperparameters).map(([name, value]) => [name, plainValue(value)]),
  );
  const content = { sessionStartInfo: { hparams, groupName, startTimeSecs } };
  return hyperparameterValue("_hparams_/session_start_info", content);
}

/** How it ended. */
export function sessionEndValue(status: number, endTimeSecs: number): SummaryValue {
  return hyperparameterValue("_hparams_/session_end_info", { sessionEndInfo: { status, endTimeSecs } });
}

function plainValue(value: string | number | boolean): object {
  if (typeof value === "number") return { numberValue: value };
  return typeof value === "boolean" ? { boolValue: value } : { stringValue: value };
}

/** The message is in the metadata; the tensor beside it is empty. */
function hyperparameterValue(tag: string, message: object): SummaryValue {
  const content = HYPERPARAMETERS.encode({ version: 0, ...message }).finish();
  const metadata = { pluginData: { pluginName: "hparams", content }, dataClass: DATA_CLASS_TENSOR };
  return { tag, tensor: { dtype: DT_FLOAT, tensorShape: { dim: [{ size: 0 }] } }, metadata };
}
