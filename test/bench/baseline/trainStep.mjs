// The first prototype of a training step (naive lowering, onnxruntime-node's own API), kept as the floor that
// `npm run bench` compares with. Not a design; never imported by the product.
import ort from 'onnxruntime-node';
import { G } from './onnxBuilder.mjs';
const rnd = (n, s = 1) => { const a = new Float32Array(n); for (let i = 0; i < n; i++) a[i] = (Math.random() - 0.5) * 2 * s; return a; };
const prod = (a) => a.reduce((x, y) => x * y, 1);
class Net {
  constructor(frozenPrefix) { this.g = new G(); this.tape = []; this.shape = {}; this.params = []; this.grads = {}; this.frozen = false; this.req = new Set(); }
  sh(v, s) { this.shape[v] = s; return v; }
  param(shape, scale) { const name = `p${this.params.length}`; const data = rnd(prod(shape), scale); if (this.frozen) { const c = this.g.constF32(data, shape); return this.sh(c, shape); } this.g.input(name, shape); this.params.push({ name, shape, data }); this.req.add(name); return this.sh(name, shape); }
  rec(inputs, out, f) { if (inputs.some(i => this.req.has(i))) { this.req.add(out); this.tape.push({ inputs, out, f }); } return out; }
  i64(a) { return this.g.constI64(a); }
  op(...a) { return this.g.op(...a); }
  reshape(x, s) { return this.op('Reshape', [x, this.i64(s)]); }
  conv(x, w, b, k, s, p) {
    const [N, C, H, W] = this.shape[x], K = this.shape[w][0], Ho = (H + 2 * p - k) / s + 1 | 0, Wo = (W + 2 * p - k) / s + 1 | 0;
    const y = this.sh(this.op('Conv', b ? [x, w, b] : [x, w], { pads: [p, p, p, p], strides: [s, s] }), [N, K, Ho, Wo]);
    return this.rec([x, w, ...(b ? [b] : [])], y, (dy) => {
      const out = [null, null, null];
      if (this.req.has(x)) {
        if (s === 1) { let wt = this.op('Transpose', [w], { perm: [1, 0, 2, 3] }); if (k > 1) wt = this.op('Slice', [wt, this.i64([-1, -1]), this.i64([-100, -100]), this.i64([2, 3]), this.i64([-1, -1])]); const q = k - 1 - p; out[0] = this.op('Conv', [dy, wt], { pads: [q, q, q, q] }); }
        else { const op = H - ((Ho - 1) * s - 2 * p + k); out[0] = this.op('ConvTranspose', [dy, w], { pads: [p, p, p, p], strides: [s, s], output_padding: [op, op] }); }
      }
      if (this.req.has(w)) {
        const dT = this.reshape(this.op('Transpose', [dy], { perm: [1, 0, 2, 3] }), [K, N * Ho * Wo]);
        if (C <= 4) { const xt = this.op('Transpose', [x], { perm: [1, 0, 2, 3] }), dt = this.op('Transpose', [dy], { perm: [1, 0, 2, 3] }); let z = this.op('Conv', [xt, dt], { pads: [p, p, p, p], dilations: [s, s] }); z = this.op('Slice', [z, this.i64([0, 0]), this.i64([k, k]), this.i64([2, 3])]); out[1] = this.op('Transpose', [z], { perm: [1, 0, 2, 3] }); }
        else {
          let xn = this.op('Transpose', [x], { perm: [0, 2, 3, 1] }); if (p) xn = this.op('Pad', [xn, this.i64([0, p, p, 0, 0, p, p, 0])]);
          if (k === 1 && s === 1) out[1] = this.reshape(this.op('MatMul', [dT, this.reshape(xn, [N * Ho * Wo, C])]), [K, C, 1, 1]);
          else { const parts = []; for (let i = 0; i < k; i++) for (let j = 0; j < k; j++) { const sl = this.op('Slice', [xn, this.i64([i, j]), this.i64([i + (Ho - 1) * s + 1, j + (Wo - 1) * s + 1]), this.i64([1, 2]), this.i64([s, s])]); parts.push(this.op('Unsqueeze', [this.op('MatMul', [dT, this.reshape(sl, [N * Ho * Wo, C])]), this.i64([2])])); } out[1] = this.reshape(parts.length > 1 ? this.op('Concat', parts, { axis: 2 }) : parts[0], [K, C, k, k]); }
        }
      }
      if (b) out[2] = this.op('ReduceSum', [dy, this.i64([0, 2, 3])], { keepdims: 0 });
      return out;
    });
  }
  relu(x) { const y = this.sh(this.op('Relu', [x]), this.shape[x]); return this.rec([x], y, (dy) => [this.op('Where', [this.op('Greater', [y, this.g.zero ??= this.g.constF32([0], [])]), dy, this.g.zero])]); }
  add(a, b) { const y = this.sh(this.op('Add', [a, b]), this.shape[a]); return this.rec([a, b], y, (dy) => [dy, dy]); }
  bnEval(x) { const C = this.shape[x][1]; const c = (v) => this.g.constF32(new Float32Array(C).fill(v), [C]); return this.sh(this.op('BatchNormalization', [x, c(1), c(0), c(0.01), c(1)]), this.shape[x]); }
  bnTrain(x) {
    const [N, C, H, W] = this.shape[x], n = N * H * W; const ga = this.param([1, C, 1, 1], 1), be = this.param([1, C, 1, 1], .1); const ax = this.i64([0, 2, 3]);
    const mu = this.op('ReduceMean', [x], { axes: [0, 2, 3] }); const xc = this.op('Sub', [x, mu]); const va = this.op('ReduceMean', [this.op('Mul', [xc, xc])], { axes: [0, 2, 3] });
    const is = this.op('Div', [this.g.constF32([1], []), this.op('Sqrt', [this.op('Add', [va, this.g.constF32([1e-5], [])])])]); const xh = this.op('Mul', [xc, is]);
    const y = this.sh(this.op('Add', [this.op('Mul', [xh, ga]), be]), this.shape[x]);
    return this.rec([x, ga, be], y, (dy) => { const db = this.op('ReduceSum', [dy, ax], { keepdims: 1 }); const dg = this.op('ReduceSum', [this.op('Mul', [dy, xh]), ax], { keepdims: 1 }); const inv = this.g.constF32([1 / n], []);
      const t = this.op('Sub', [this.op('Sub', [dy, this.op('Mul', [db, inv])]), this.op('Mul', [xh, this.op('Mul', [dg, inv])])]); return [this.op('Mul', [t, this.op('Mul', [ga, is])]), dg, db]; });
  }
  pool2(x) { const [N, C, H, W] = this.shape[x]; const y = this.sh(this.op('MaxPool', [x], { kernel_shape: [2, 2], strides: [2, 2] }), [N, C, H >> 1, W >> 1]); return this.rec([x], y, (dy) => { const up = (v) => this.reshape(this.op('Expand', [this.reshape(v, [N, C, H >> 1, 1, W >> 1, 1]), this.i64([N, C, H >> 1, 2, W >> 1, 2])]), [N, C, H, W]); return [this.op('Where', [this.op('Equal', [x, up(y)]), up(dy), this.g.zero ??= this.g.constF32([0], [])])]; }); }
  pool3(x) { const [N, C, H, W] = this.shape[x], Ho = (H + 1) >> 1, n = N * C * H * W, m = N * C * Ho * Ho; const [y, idx] = this.op('MaxPool', [x], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }, 2); this.sh(y, [N, C, Ho, Ho]); return this.rec([x], y, (dy) => { const z = this.op('ConstantOfShape', [this.i64([n])]); return [this.reshape(this.op('ScatterElements', [z, this.reshape(idx, [m]), this.reshape(dy, [m])], { axis: 0, reduction: 'add' }), [N, C, H, W])]; }); }
  drop2d(x) { const [N, C] = this.shape[x]; const name = `mask${this.g.n++}`; this.g.input(name, [N, C, 1, 1]); (this.masks ??= []).push({ name, shape: [N, C, 1, 1] }); const y = this.sh(this.op('Mul', [x, name]), this.shape[x]); return this.rec([x], y, (dy) => [this.op('Mul', [dy, name])]); }
  gmax(x) { const [N, C, H, W] = this.shape[x]; const y = this.sh(this.op('ReduceMax', [x], { axes: [2, 3], keepdims: 1 }), [N, C, 1, 1]); const z = this.sh(this.reshape(y, [N, C]), [N, C]); return this.rec([x], z, (dy) => [this.op('Where', [this.op('Equal', [x, y]), this.reshape(dy, [N, C, 1, 1]), this.g.zero ??= this.g.constF32([0], [])])]); }
  dense(x, k) { const [N, C] = this.shape[x]; const w = this.param([C, k], Math.sqrt(1 / C)), b = this.param([k], 0); const y = this.sh(this.op('Gemm', [x, w, b]), [N, k]); return this.rec([x, w, b], y, (dy) => [this.op('Gemm', [dy, w], { transB: 1 }), this.op('Gemm', [x, dy], { transA: 1 }), this.op('ReduceSum', [dy, this.i64([0])], { keepdims: 0 })]); }
  layers(spec, x, bn = false) { const n = (v) => bn ? this.bnTrain(v) : v; for (const s of spec) { if (s === 'p') x = this.pool2(x); else if (s === 'd') x = this.drop2d(x); else if (s === 'r') { const c = this.shape[x][1]; let t = this.relu(n(x)); t = this.relu(n(this.cv(t, c, 3, 1, !bn))); x = this.relu(this.add(x, this.cv(t, c, 3))); } else x = this.relu(n(this.cv(x, s, 3, 1, !bn))); } return x; }
  cv(x, K, k, s = 1, bias = true) { const C = this.shape[x][1]; return this.conv(x, this.param([K, C, k, k], Math.sqrt(3 / (C * k * k))), bias ? this.param([K], 0) : null, k, s, (k - 1) / 2); }
  ce(logits, lab) { const [N, K] = this.shape[logits]; const lsm = this.op('LogSoftmax', [logits], { axis: 1 }); const oh = lab + '_oh'; this.g.input(oh, [N, K]); const nn = lab + '_n'; this.g.input(nn, []); const loss = this.op('Neg', [this.op('Div', [this.op('ReduceSum', [this.op('Mul', [lsm, oh])], { keepdims: 0 }), nn])]); const rowm = this.op('ReduceSum', [oh, this.i64([1])], { keepdims: 1 }); return { loss, seed: (scale) => this.op('Mul', [this.op('Div', [this.op('Sub', [this.op('Mul', [this.op('Exp', [lsm]), rowm]), oh]), nn]), scale]) }; }
  backward(seeds) {
    const acc = new Map(); const put = (v, d) => acc.set(v, acc.has(v) ? this.op('Add', [acc.get(v), d]) : d); for (const [v, d] of seeds) put(v, d);
    for (const t of this.tape.reverse()) { const dy = acc.get(t.out); if (!dy) continue; t.f(dy).forEach((d, i) => { if (d && this.req.has(t.inputs[i])) put(t.inputs[i], d); }); }
    const g = this.g, c = { b1: g.constF32([0.9], []), b1c: g.constF32([0.1], []), b2: g.constF32([0.999], []), b2c: g.constF32([0.001], []), eps: g.constF32([1e-7], []) }; g.input('lr', []); this.feeds.lr = sc(1e-4);
    this.upd = [];
    for (const p of this.params) { const gr = acc.get(p.name); g.input(p.name + 'm', p.shape); g.input(p.name + 'v', p.shape); const m2 = g.op('Add', [g.op('Mul', [p.name + 'm', c.b1]), g.op('Mul', [gr, c.b1c])]), v2 = g.op('Add', [g.op('Mul', [p.name + 'v', c.b2]), g.op('Mul', [g.op('Mul', [gr, gr]), c.b2c])]); const p2 = g.op('Sub', [p.name, g.op('Div', [g.op('Mul', [m2, 'lr']), g.op('Add', [g.op('Sqrt', [v2]), c.eps])])]); [p2, m2, v2].forEach(o => g.output(o, p.shape)); this.upd.push([p.name, p2], [p.name + 'm', m2], [p.name + 'v', v2]); this.feeds[p.name] = new ort.Tensor('float32', p.data, p.shape); this.feeds[p.name + 'm'] = new ort.Tensor('float32', new Float32Array(p.data.length), p.shape); this.feeds[p.name + 'v'] = new ort.Tensor('float32', new Float32Array(p.data.length), p.shape); }
  }
}
const sc = (v) => new ort.Tensor('float32', new Float32Array([v]), []);

/** A prototype step for a net; returns a function that runs one step and gives its milliseconds. */
export async function prototypeStep({ batch, side, fcn, shared, head, classes, batchnorm, threads }) {
  const n = new Net(); n.feeds = {}; n.g.input('x', [batch, 3, side, side]); n.sh('x', [batch, 3, side, side]); n.feeds.x = new ort.Tensor('float32', rnd(batch * 3 * side * side, 1), [batch, 3, side, side]);
  const f = n.layers(shared, n.layers(fcn, 'x', batchnorm), batchnorm); const seeds = []; const losses = [];
  classes.forEach((k, i) => { const h = n.layers(head, f, batchnorm); const lo = n.dense(n.gmax(h), k); const { loss, seed } = n.ce(lo, 'y' + i); seeds.push([lo, seed(n.g.constF32([Math.exp(-1)], []))]); losses.push(loss); n.g.output(loss, []); const oh = new Float32Array(batch * k); for (let b = 0; b < batch; b++) oh[b * k + (b % k)] = 1; n.feeds[`y${i}_oh`] = new ort.Tensor('float32', oh, [batch, k]); n.feeds[`y${i}_n`] = sc(batch); });
  n.backward(seeds); for (const m of n.masks ?? []) n.feeds[m.name] = new ort.Tensor('float32', new Float32Array(prod(m.shape)).map(() => Math.random() < .5 ? 0 : 2), m.shape);
  const session = await ort.InferenceSession.create(n.g.bytes(), { intraOpNumThreads: threads, graphOptimizationLevel: 'all' });
  return async () => { const t = performance.now(); const o = await session.run(n.feeds); for (const [inp, out] of n.upd) n.feeds[inp] = o[out]; return performance.now() - t; };
}
