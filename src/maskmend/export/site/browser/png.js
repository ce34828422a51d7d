// PNG files, read and written without a canvas: a canvas stores colours multiplied by their alpha, and known pixels are to
// come back to the bit. A picture is {width, height, planes, alpha, grey, chunks}: planes of red, green and blue, alpha or
// null, whether the file was grey, and its colour profile and the like, which are written as they came.

import { t, Told } from "./texts.js";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10];
const KEPT = new Set(["iCCP", "sRGB", "gAMA", "cHRM", "cICP", "pHYs", "eXIf"]);
const CHANNELS = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

export function isPng(bytes) {
  return SIGNATURE.every((byte, i) => bytes[i] === byte);
}

export function header(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return { width: view.getUint32(16), height: view.getUint32(20), bits: bytes[24], kind: bytes[25], interlaced: bytes[28] };
}

export function* chunks(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (let at = 8; at + 12 <= bytes.length;) {
    const length = view.getUint32(at);
    yield { name: String.fromCharCode(...bytes.subarray(at + 4, at + 8)), data: bytes.subarray(at + 8, at + 8 + length) };
    at += 12 + length;
  }
}

// Throws a Failure for what it does not read: 16 bits a channel, and interlaced rows.
export async function readPng(bytes) {
  const { width, height, bits, kind, interlaced } = header(bytes);
  if (bits > 8 || interlaced) throw new Told("image_unusable", t`PNG is read here with up to 8 bits a channel, not interlaced.`);
  const parts = { IDAT: [] };
  const kept = [];
  for (const { name, data } of chunks(bytes)) {
    if (name === "IDAT") parts.IDAT.push(data);
    else if (KEPT.has(name)) kept.push([name, data.slice()]);
    else parts[name] = data;
  }
  const channels = CHANNELS[kind];
  const packed = new Uint8Array(await new Response(new Blob(parts.IDAT).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer());
  const rows = unfiltered(packed, Math.ceil((width * channels * bits) / 8), height, Math.max(1, (channels * bits) >> 3));
  const values = bits === 8 ? rows : unpacked(rows, width, height, bits);
  const size = width * height;
  const planes = [0, 1, 2].map(() => new Uint8Array(size));
  const clear = parts.tRNS;
  const alpha = kind === 4 || kind === 6 || clear ? new Uint8Array(size).fill(255) : null;
  const grey = kind === 0 || kind === 4;
  const full = grey ? 255 / (2 ** bits - 1) : 1;
  for (let i = 0, at = 0; i < size; i++, at += channels) {
    if (kind === 3) {
      for (let c = 0; c < 3; c++) planes[c][i] = parts.PLTE[values[at] * 3 + c];
      if (clear) alpha[i] = clear[values[at]] ?? 255;
      continue;
    }
    for (let c = 0; c < 3; c++) planes[c][i] = values[at + (grey ? 0 : c)] * full;
    if (kind === 4 || kind === 6) alpha[i] = values[at + channels - 1];
    else if (clear && [...Array(channels).keys()].every((c) => clear[2 * c + 1] === values[at + c])) alpha[i] = 0;
  }
  return { width, height, planes, alpha, grey, chunks: kept };
}

function unpacked(rows, width, height, bits) {
  const stride = Math.ceil((width * bits) / 8);
  const values = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const place = x * bits;
      values[y * width + x] = (rows[y * stride + (place >> 3)] >> (8 - bits - (place & 7))) & (2 ** bits - 1);
    }
  }
  return values;
}

function unfiltered(packed, stride, height, back) {
  const rows = new Uint8Array(stride * height);
  for (let y = 0; y < height; y++) {
    const filter = packed[y * (stride + 1)];
    for (let x = 0; x < stride; x++) {
      const at = y * stride + x;
      const left = x >= back ? rows[at - back] : 0;
      const up = y > 0 ? rows[at - stride] : 0;
      const corner = x >= back && y > 0 ? rows[at - stride - back] : 0;
      rows[at] = packed[y * (stride + 1) + 1 + x] + [0, left, up, (left + up) >> 1, filter === 4 ? paeth(left, up, corner) : 0][filter];
    }
  }
  return rows;
}

function paeth(left, up, corner) {
  const guess = left + up - corner;
  const [a, b, c] = [Math.abs(guess - left), Math.abs(guess - up), Math.abs(guess - corner)];
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

// A blob. Grey pictures are written as grey.
export async function writePng({ width, height, planes, alpha = null, grey = false, chunks: kept = [] }) {
  const layers = [...(grey ? planes.slice(0, 1) : planes), ...(alpha ? [alpha] : [])];
  const back = layers.length;
  const stride = width * back;
  const rows = new Uint8Array(stride * height);
  layers.forEach((layer, c) => { for (let i = 0; i < layer.length; i++) rows[i * back + c] = layer[i]; });
  const packed = new Uint8Array((stride + 1) * height);
  for (let y = 0; y < height; y++) {
    const start = y * (stride + 1);
    packed[start] = 4;
    for (let x = 0; x < stride; x++) {
      const at = y * stride + x;
      const left = x >= back ? rows[at - back] : 0;
      const up = y > 0 ? rows[at - stride] : 0;
      packed[start + 1 + x] = rows[at] - paeth(left, up, x >= back && y > 0 ? rows[at - stride - back] : 0);
    }
  }
  const data = new Uint8Array(await new Response(new Blob([packed]).stream().pipeThrough(new CompressionStream("deflate"))).arrayBuffer());
  const first = new Uint8Array(13);
  const view = new DataView(first.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  first.set([8, (grey ? 0 : 2) + (alpha ? 4 : 0), 0, 0, 0], 8);
  const all = [["IHDR", first], ...kept, ["IDAT", data], ["IEND", new Uint8Array(0)]];
  return new Blob([new Uint8Array(SIGNATURE), ...all.map(([name, content]) => chunk(name, content))], { type: "image/png" });
}

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let code = n;
  for (let k = 0; k < 8; k++) code = code & 1 ? 0xedb88320 ^ (code >>> 1) : code >>> 1;
  return code;
});

function chunk(name, data) {
  const whole = new Uint8Array(data.length + 12);
  const view = new DataView(whole.buffer);
  view.setUint32(0, data.length);
  whole.set([...name].map((letter) => letter.charCodeAt(0)), 4);
  whole.set(data, 8);
  let code = 0xffffffff;
  for (let i = 4; i < data.length + 8; i++) code = TABLE[(code ^ whole[i]) & 255] ^ (code >>> 8);
  view.setUint32(data.length + 8, ~code);
  return whole;
}
