// The noise of `maskmend.decoding.noise`: a hash of (seed, step, position, code) in 32-bit words, the same bits as there.

export const TOKEN = 0;
export const CONFIDENCE = 1;
export const ORDER = 2;

const LANES = [0x243f6a88, 0x85a308d3];
const STEP = 0x9e3779b9;

export function mix(word) {
  let x = Math.imul(word ^ (word >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return x ^ (x >>> 15);
}

const codeWords = [];

function codeWord(code) {
  return (codeWords[code] ??= mix(code + STEP));
}

// What a seed (BigInt, 0 to 2^63 - 1) has to give to all numbers of a stream: two words.
export function seeded(seed, stream) {
  const words = [stream, Number(seed & 0xffffffffn), Number(seed >> 32n)];
  return LANES.map((start) => words.reduce(absorbed, start));
}

function absorbed(lane, word) {
  return mix((lane ^ word) + STEP);
}

// Uniform noise in (0, 1) of a slot, a number for each code; exact in float32.
export function uniform(lanes, step, position, codes) {
  const [first, second] = lanes.map((lane) => absorbed(absorbed(lane, step), position));
  const numbers = new Float32Array(codes);
  for (let code = 0; code < codes; code++) {
    const bits = (mix(first ^ codeWord(code)) + second) >>> 9;
    numbers[code] = (bits + 0.5) * 2 ** -23;
  }
  return numbers;
}

// Standard Gumbel noise, arguments as for `uniform`.
export function gumbel(lanes, step, position, codes) {
  const { fround, log } = Math;
  return uniform(lanes, step, position, codes).map((u) => -log(fround(-log(u))));
}
