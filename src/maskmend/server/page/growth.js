// A mask made larger or smaller by a distance between pixel centres, as `grow` does it on the server, and where the
// seam of a fill is blended. Exact, by the lower envelope of parabolas (Felzenszwalb and Huttenlocher, 2012).

export const FEATHER = 8; // pixels into the hole over which the server's feathered seam fades

// A mask's bytes after growing by so many pixels; a negative number shrinks it.
export function resized(mask, by) {
  const result = mask.data.slice();
  const bounds = by ? mask.bounds() : null;
  if (!bounds) return result;
  const { box, squares } = distances(mask, bounds, by > 0 ? by : 1, by > 0 ? 1 : 0);
  each(mask, box, (i, j) => {
    if (by > 0 ? squares[j] <= by * by : mask.data[i] && squares[j] <= by * by) result[i] = by > 0 ? 1 : 0;
  });
  return result;
}

// Squared distances of the pixels around `bounds` from the nearest one with `value`: {box, squares}, of one box.
export function distances({ data, width, height }, bounds, reach, value) {
  const box = [Math.max(bounds[0] - reach, 0), Math.max(bounds[1] - reach, 0),
    Math.min(bounds[2] + reach, width), Math.min(bounds[3] + reach, height)];
  const [wide, high] = [box[2] - box[0], box[3] - box[1]];
  const far = 4 * (width + height);
  const squares = new Float64Array(wide * high);
  for (let x = 0; x < wide; x++) { // down each column: to the nearest above or below
    let gap = far;
    for (let y = 0; y < high; y++) {
      gap = data[(y + box[1]) * width + x + box[0]] === value ? 0 : gap + 1;
      squares[y * wide + x] = gap;
    }
    gap = far;
    for (let y = high - 1; y >= 0; y--) {
      gap = squares[y * wide + x] === 0 ? 0 : gap + 1;
      squares[y * wide + x] = Math.min(squares[y * wide + x], gap) ** 2;
    }
  }
  for (let y = 0; y < high; y++) envelope(squares.subarray(y * wide, (y + 1) * wide));
  return { box, squares };
}

// Each place's least of value + squared distance over all places of a row.
function envelope(row) {
  const f = row.slice();
  const places = new Int32Array(f.length);
  const bounds = new Float64Array(f.length + 1);
  let k = 0;
  bounds[0] = -Infinity;
  bounds[1] = Infinity;
  const meet = (q, p) => (f[q] + q * q - f[p] - p * p) / (2 * (q - p));
  for (let q = 1; q < f.length; q++) {
    let at = meet(q, places[k]);
    while (at <= bounds[k]) at = meet(q, places[--k]);
    places[++k] = q;
    bounds[k] = at;
    bounds[k + 1] = Infinity;
  }
  k = 0;
  for (let q = 0; q < f.length; q++) {
    while (bounds[k + 1] < q) k++;
    row[q] = (q - places[k]) ** 2 + f[places[k]];
  }
}

function each({ width }, [left, top, right, bottom], work) {
  for (let y = top, j = 0; y < bottom; y++) {
    for (let x = left; x < right; x++, j++) work(y * width + x, j);
  }
}

const GAINED = [250, 176, 36, 170];
const LOST = [36, 60, 120, 190];

// What growing would change, and how far the seam is blended, as a layer over the picture; drawn anew when any of it
// changes.
export class EdgePreview {
  constructor() {
    this.key = [];
    this.layer = null;
  }

  of(mask, by, feather) {
    const key = [mask, mask.version, by, feather];
    if (key.some((part, i) => part !== this.key[i])) {
      this.key = key;
      this.layer = (by || feather) && mask.count ? draw(mask, by, feather) : null;
    }
    return this.layer;
  }
}

// {canvas, left, top}
function draw(mask, by, feather) {
  const data = resized(mask, by);
  const [left, top, right, bottom] = mask.bounds();
  const reach = Math.max(by, 0);
  const bounds = [Math.max(left - reach, 0), Math.max(top - reach, 0), Math.min(right + reach, mask.width), Math.min(bottom + reach, mask.height)];
  const { width, height } = mask;
  const { box, squares } = distances({ data, width, height }, bounds, 1, 0);
  const canvas = new OffscreenCanvas(box[2] - box[0], box[3] - box[1]);
  const picture = new ImageData(canvas.width, canvas.height);
  each(mask, box, (i, j) => {
    const colour = data[i] === mask.data[i] ? null : data[i] ? GAINED : LOST;
    if (colour) picture.data.set(colour, 4 * j);
    const depth = Math.sqrt(squares[j]) - 0.5; // the seam lies half a pixel outside
    if (!feather || !data[i] || depth >= FEATHER) return;
    const share = (1 - depth / FEATHER) ** 2 * (1 + (2 * depth) / FEATHER); // as the server fades it
    picture.data.set([255, 255, 255, Math.round(220 * share)], 4 * j);
  });
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return { canvas, left: box[0], top: box[1] };
}
