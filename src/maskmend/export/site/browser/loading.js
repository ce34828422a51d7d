// The model and onnxruntime-web, loaded with a count of the bytes that came, and unpacked.
//
// weights.bin, once unpacked, is: the high bytes of all float16 numbers, their low bytes, the 8-bit numbers, the float32
// ones. model.json says which tensor of which graph lies where; the graphs read float32 from one buffer in that order.

import { Model } from "./model.js";

// `told({bytes, total})` follows the download.
export async function loadModel(base, told) {
  const about = await (await fetch(new URL("model.json", base))).json();
  const files = about.files;
  const total = Object.values(files).reduce((sum, { bytes }) => sum + bytes, 0);
  let bytes = 0;
  const get = async (name) => unpack(await download(new URL(files[name].path, base), (more) => told({ bytes: (bytes += more), total })));
  const [packed, graphs, wasm] = await Promise.all(["weights", "graphs", "runtime"].map(get));
  const ort = await import(new URL(about.script, base));
  ort.env.wasm.wasmBinary = wasm.buffer;
  ort.env.wasm.numThreads = globalThis.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
  ort.env.logLevel = "error";
  const weights = expand(packed, about.tensors);
  const data = new Uint8Array(weights.buffer);
  const sessions = {};
  for (const [name, [start, end]] of Object.entries(about.graphs)) {
    const options = { executionProviders: ["wasm"], externalData: [{ path: "weights", data }] };
    sessions[name] = await ort.InferenceSession.create(graphs.slice(start, end), options);
  }
  return new Model(ort, sessions, about);
}

async function download(url, came) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url.pathname} cannot be loaded (${response.status})`);
  const reader = response.body.getReader();
  const parts = [];
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    parts.push(piece.value);
    came(piece.value.length);
  }
  return new Blob(parts);
}

// Servers that unpack what they send leave nothing to be done.
async function unpack(blob) {
  const [first, second] = new Uint8Array(await blob.slice(0, 2).arrayBuffer());
  const stream = first === 0x1f && second === 0x8b ? blob.stream().pipeThrough(new DecompressionStream("gzip")) : blob.stream();
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// All tensors as float32, one after the other. `f16`, `i8` and `f32` are counts of numbers; `scaled` says of each 8-bit
// tensor where it begins, how many numbers a row has, and where in the result the rows' scales are.
export function expand(bytes, { f16, i8, f32, scaled }) {
  const weights = new Float32Array(f16 + i8 + f32);
  const table = halves();
  for (let i = 0; i < f16; i++) weights[i] = table[(bytes[i] << 8) | bytes[f16 + i]];
  const tail = bytes.slice(2 * f16 + i8);
  weights.set(new Float32Array(tail.buffer, 0, f32), f16 + i8);
  const small = new Int8Array(bytes.buffer, bytes.byteOffset + 2 * f16, i8);
  for (const { start, rows, length, scales } of scaled) {
    for (let row = 0; row < rows; row++) {
      const scale = weights[scales + row];
      for (let i = start + row * length; i < start + (row + 1) * length; i++) weights[f16 + i] = small[i] * scale;
    }
  }
  return weights;
}

function halves() {
  return Float32Array.from({ length: 65536 }, (_, bits) => {
    const [sign, exponent, rest] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + rest / 1024) : 2 ** -14 * (rest / 1024));
  });
}
