// The prototype's 30-line ONNX writer, on mttc's own protobuf codec.
import { encodeModelProto } from '../../../dist/compiler/codec/protobuf.js';
export const T = { f32: 1, u8: 2, i32: 6, i64: 7, bool: 9 };
export class G {
  constructor() { this.nodes = []; this.init = []; this.inputs = []; this.outputs = []; this.n = 0; }
  name(p='t') { return `${p}_${this.n++}`; }
  input(name, shape, t=T.f32) { this.inputs.push(vi(name, shape, t)); return name; }
  output(name, shape, t=T.f32) { this.outputs.push(vi(name, shape, t)); return name; }
  constI64(arr, scalar=false) { const name = this.name('c'); const b = new BigInt64Array(arr.map(BigInt)); this.init.push({ name, dataType: 7, dims: scalar ? [] : [arr.length], rawData: new Uint8Array(b.buffer) }); return name; }
  constF32(arr, dims) { const name = this.name('w'); const b = arr instanceof Float32Array ? arr : new Float32Array(arr); this.init.push({ name, dataType: 1, dims: dims ?? [b.length], rawData: new Uint8Array(b.buffer, b.byteOffset, b.byteLength) }); return name; }
  op(opType, inputs, attrs={}, nout=1, domain='') {
    const outs = Array.from({ length: nout }, () => this.name(opType));
    this.nodes.push({ opType, domain, input: inputs, output: outs, name: outs[0], attribute: Object.entries(attrs).map(([k, v]) => attr(k, v)) });
    return nout === 1 ? outs[0] : outs;
  }
  bytes(opset=17) {
    return encodeModelProto({ irVersion: 8, producerName: 'lab', opsetImport: [{ domain: '', version: opset }], metadataProps: [],
      graph: { name: 'g', node: this.nodes, input: this.inputs, output: this.outputs, initializer: this.init } });
  }
}
const vi = (name, shape, t) => ({ name, type: { tensorType: { elemType: t, shape: { dim: shape.map(d => typeof d === 'number' ? { dimValue: d } : { dimParam: d }) } } } });
function attr(name, v) {
  if (typeof v === 'string') return { name, type: 3, s: Buffer.from(v) };
  if (Array.isArray(v)) return { name, type: 7, ints: v };
  if (typeof v === 'number' && Number.isInteger(v)) return { name, type: 2, i: v };
  if (v && v.f !== undefined) return { name, type: 1, f: v.f };
  throw new Error('attr ' + name);
}
