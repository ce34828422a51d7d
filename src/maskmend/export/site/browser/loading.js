// The model and onnxruntime-web, loaded with a count of the bytes that came, and unpacked.
//
// weights.bin, once unpacked, is: the high bytes of all float16 numbers, their low bytes, the 8-bit numbers, the float32
// ones. model.json says which tensor of which graph lies where; the graphs read float32 from one buffer in that order.
//
// There may be two builds of onnxruntime-web, "wasm" and "webgpu". With the second one the decoder draws on the GPU. All that
// decides on a token stays on WebAssembly, which rounds alike everywhere: a GPU's rounding could tip one.

import { download, fetched } from "./fetching.js";
import { Model } from "./model.js";

// `told({bytes, total})` follows the download; `wish` is "wasm", "webgpu" (on a software adapter too), or null.
export async function loadModel(base, told, wish = null) {
  const about = await (await fetched(new URL("model.json", base))).json();
  const kind = "webgpu" in about.runtimes && wish !== "wasm" && (await gpuThere(wish === "webgpu")) ? "webgpu" : "wasm";
  const { files, runtimes } = about;
  let total = files.weights.bytes + files.graphs.bytes + runtimes[kind].bytes;
  let bytes = 0;
  const get = async ({ path }) => unpack(await download(new URL(path, base), (more) => told({ bytes: (bytes += more), total })));
  const [packed, graphs, wasm] = await Promise.all([files.weights, files.graphs, runtimes[kind]].map(get));
  const weights = expand(packed, about.tensors);
  const start = (one, binary) => started(new URL(runtimes[one].script, base), binary, { about, graphs, weights, gpu: one === "webgpu" });
  try {
    return await start(kind, wasm);
  } catch (error) {
    if (kind === "wasm") throw error;
    console.warn(`WebGPU does not start, so WebAssembly runs the model: ${error.message}`);
    total += runtimes.wasm.bytes;
    return start("wasm", await get(runtimes.wasm));
  }
}

// Its build needs promises in WebAssembly (JSPI) too.
async function gpuThere(software) {
  if (!navigator.gpu || !("Suspending" in WebAssembly)) return false;
  const adapter = await navigator.gpu.requestAdapter().catch(() => null);
  return Boolean(adapter) && (software || !adapter.info?.isFallbackAdapter);
}

async function started(script, binary, { about, graphs, weights, gpu }) {
  const ort = await import(script);
  const threads = globalThis.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
  Object.assign(ort.env.wasm, { wasmBinary: binary.buffer, numThreads: threads });
  ort.env.logLevel = "error";
  const data = new Uint8Array(weights.buffer);
  const session = (name, provider) => ort.InferenceSession.create(graphs.slice(...about.graphs[name]), {
    executionProviders: [provider], externalData: [{ path: "weights", data }], logSeverityLevel: 3, // errors
  });
  const sessions = {};
  for (const name of Object.keys(about.graphs)) sessions[name] = await session(name, gpu && name === "decoder" ? "webgpu" : "wasm");
  return new Model(ort, sessions, about, { threads, gpu }, gpu ? (name) => session(name, "wasm") : null);
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
