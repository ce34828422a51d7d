// Pictures at another size, as Pillow resizes them: the same weights, and for whole levels the same fixed-point sums. Rows
// first, as there for squares; of some other shapes it takes columns first, which may round a level otherwise.

const FILTERS = {
  bilinear: [1, (x) => (x < 1 ? 1 - x : 0)],
  bicubic: [2, (x) => (x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0)],
  lanczos: [3, (x) => (x < 3 ? sinc(x) * sinc(x / 3) : 0)],
};
const BITS = 22; // of Pillow's fixed-point weights

function sinc(x) {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}

// For each output place where its inputs begin, and their weights, which sum to 1.
function weights(from, to, kind) {
  const [support, filter] = FILTERS[kind];
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  return Array.from({ length: to }, (_, place) => {
    const middle = (place + 0.5) * scale;
    const first = Math.max(Math.trunc(middle - support * stretch + 0.5), 0);
    const after = Math.min(Math.trunc(middle + support * stretch + 0.5), from);
    const own = Array.from({ length: after - first }, (_, i) => filter(Math.abs((i + first - middle + 0.5) * (1 / stretch))));
    const total = own.reduce((sum, weight) => sum + weight, 0);
    return { first, own: total ? own.map((weight) => weight / total) : own };
  });
}

function along(plane, { width, height }, to, kind, vertical) {
  const whole = plane instanceof Uint8Array;
  const [columns, rows] = vertical ? [width, to] : [to, height];
  const result = new plane.constructor(columns * rows);
  const table = weights(vertical ? height : width, to, kind);
  for (const entry of table) if (whole) entry.own = entry.own.map((weight) => Math.trunc(weight * 2 ** BITS + (weight < 0 ? -0.5 : 0.5)));
  const stride = vertical ? width : 1;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const { first, own } = table[vertical ? row : column];
      let at = vertical ? first * width + column : row * width + first;
      let sum = whole ? 2 ** (BITS - 1) : 0;
      for (let i = 0; i < own.length; i++, at += stride) sum += plane[at] * own[i];
      result[row * columns + column] = whole ? Math.min(Math.max(Math.floor(sum / 2 ** BITS), 0), 255) : sum;
    }
  }
  return result;
}

// `kind` is bilinear, bicubic or lanczos; a Uint8Array stays one, a Float32Array too.
export function resizePlane(plane, size, { width, height }, kind) {
  let now = plane;
  if (width !== size.width) now = along(now, size, width, kind, false);
  if (height !== size.height) now = along(now, { width, height: size.height }, height, kind, true);
  return now;
}

export function resize({ width, height, planes }, size, kind) {
  return { width: size.width, height: size.height, planes: planes.map((plane) => resizePlane(plane, { width, height }, size, kind)) };
}

// A mask at another size: a pixel is hole where any part of it was.
export function resizeMask(mask, { width, height }) {
  if (mask.width === width && mask.height === height) return mask;
  const span = (place, from, to) => [Math.floor((place * from) / to), Math.ceil(((place + 1) * from) / to)];
  const data = new Uint8Array(width * height);
  for (let row = 0; row < height; row++) {
    const [top, bottom] = span(row, mask.height, height);
    for (let column = 0; column < width; column++) {
      const [left, right] = span(column, mask.width, width);
      for (let y = top; y < bottom && !data[row * width + column]; y++) {
        const line = mask.data.subarray(y * mask.width + left, y * mask.width + right);
        if (line.includes(1)) data[row * width + column] = 1;
      }
    }
  }
  return { width, height, data };
}
