// Rough colours painted into the hole, from which the model draws: a layer of the picture's size, opaque where it is
// painted. Colours live inside the hole only, for the server heeds no others; what it holds of memory and history goes
// by tiles, since most of a large picture is never painted.

const TILE = 128;

export class Guide {
  constructor(mask) {
    this.mask = mask;
    this.canvas = this.context = null; // until something is painted
    this.painted = new Set(); // tiles with any colour
    this.saved = null; // tiles as they were before a stroke
  }

  get any() {
    return this.painted.size > 0;
  }

  get layer() {
    if (!this.context) {
      this.canvas = new OffscreenCanvas(this.mask.width, this.mask.height);
      this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    }
    return this.context;
  }

  // Changes between begin and end become one patch, as those of the mask.
  begin() {
    this.saved = new Map();
  }

  // `colour` null takes colours away.
  spans(shape, colour) {
    const { width, height } = this.mask;
    for (const [row, first, after] of shape) {
      if (row >= 0 && row < height) this.paint(row, Math.max(first, 0), Math.min(after, width), 1, colour);
    }
  }

  // Those pixels of a row between `first` and `after` where the mask has `value`.
  paint(row, first, after, value, colour) {
    const { data, width } = this.mask;
    const { layer } = this;
    if (colour) layer.fillStyle = colour;
    const start = row * width;
    for (let x = first; x < after; x++) {
      if (data[start + x] !== value) continue;
      const from = x;
      while (x < after && data[start + x] === value) x++;
      this.save(row, from, x);
      if (colour) layer.fillRect(from, row, x - from, 1);
      else layer.clearRect(from, row, x - from, 1);
    }
  }

  save(row, first, after) {
    const y = Math.floor(row / TILE);
    for (let x = Math.floor(first / TILE); x * TILE < after; x++) {
      const key = `${x} ${y}`;
      if (!this.saved.has(key)) this.saved.set(key, this.tile(key));
    }
  }

  tile(key) {
    const [x, y] = key.split(" ").map((place) => place * TILE);
    return this.layer.getImageData(x, y, TILE, TILE);
  }

  cancel() {
    if (this.saved) this.write(this.saved);
    this.saved = null;
  }

  // The patch that undoes and redoes what happened since begin, or null where nothing did.
  end() {
    const before = this.saved ?? new Map();
    this.saved = null;
    const after = new Map();
    for (const [key, old] of before) {
      const now = this.tile(key);
      if (same(old, now)) before.delete(key);
      else after.set(key, now);
      this.count(key, now);
    }
    return before.size ? { before, after, bytes: before.size * TILE * TILE * 8 } : null;
  }

  write(tiles) {
    for (const [key, content] of tiles) {
      const [x, y] = key.split(" ").map((place) => place * TILE);
      this.layer.putImageData(content, x, y);
      this.count(key, content);
    }
  }

  count(key, { data }) {
    const painted = new Uint32Array(data.buffer).some((pixel) => pixel !== 0);
    if (painted) this.painted.add(key);
    else this.painted.delete(key);
  }

  // Takes away what is no longer in the hole, within a box of it that has changed. A patch, or null.
  clip([left, top, right, bottom]) {
    if (!this.any) return null;
    this.begin();
    for (const key of [...this.painted]) {
      const [x, y] = key.split(" ").map((place) => place * TILE);
      for (let row = Math.max(y, top); row < Math.min(y + TILE, bottom); row++) {
        this.paint(row, Math.max(x, left), Math.min(x + TILE, right), 0, null);
      }
    }
    return this.end();
  }

  clear() {
    this.begin();
    for (const key of this.painted) this.saved.set(key, this.tile(key));
    this.layer.clearRect(0, 0, this.mask.width, this.mask.height);
    return this.end();
  }

  // The colours of another mask's guide, moved.
  take(other, dx, dy) {
    if (!other.any) return;
    this.layer.drawImage(other.canvas, dx, dy);
    for (let y = 0; y * TILE < this.mask.height; y++) {
      for (let x = 0; x * TILE < this.mask.width; x++) this.count(`${x} ${y}`, this.tile(`${x} ${y}`));
    }
  }

  // The colour at a pixel as [red, green, blue], or null where nothing is painted.
  at(x, y) {
    if (!this.any) return null;
    const [red, green, blue, alpha] = this.layer.getImageData(x, y, 1, 1).data;
    return alpha ? [red, green, blue] : null;
  }

  png() {
    return this.canvas.convertToBlob({ type: "image/png" });
  }
}

function same(a, b) {
  const [one, other] = [new Uint32Array(a.data.buffer), new Uint32Array(b.data.buffer)];
  return one.every((pixel, i) => pixel === other[i]);
}

const guides = new WeakMap();

export function guideOf(mask) {
  if (!guides.has(mask)) guides.set(mask, new Guide(mask));
  return guides.get(mask);
}
