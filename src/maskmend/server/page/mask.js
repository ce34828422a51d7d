// The mask: one byte for each pixel of the picture, 1 = to be filled, and a canvas that shows it in red.

const RED = [229, 40, 72, 140];

export class Mask {
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.data = new Uint8Array(width * height);
    this.count = 0;
    this.version = 0;
    this.canvas = document.createElement("canvas");
    this.canvas.width = width;
    this.canvas.height = height;
    this.context = this.canvas.getContext("2d");
    this.before = null;
    this.dirty = null;
  }

  get share() {
    return this.count / this.data.length;
  }

  // Changes between begin and end become one entry of the history.
  begin() {
    this.before = this.data.slice();
    this.dirty = null;
  }

  spans(shape, value) {
    let box = null;
    for (const [row, first, after] of shape) {
      if (row < 0 || row >= this.height) continue;
      const left = Math.max(first, 0);
      const right = Math.min(after, this.width);
      if (left >= right) continue;
      this.data.fill(value, row * this.width + left, row * this.width + right);
      box = union(box, [left, row, right, row + 1]);
    }
    if (box) this.changed(box);
  }

  whole(change) {
    for (let i = 0; i < this.data.length; i++) this.data[i] = change(this.data[i], i);
    this.changed([0, 0, this.width, this.height]);
  }

  changed(box) {
    this.dirty = union(this.dirty, box);
    this.show(box);
  }

  cancel() {
    if (!this.before) return;
    this.data.set(this.before);
    if (this.dirty) this.show(this.dirty);
    this.before = this.dirty = null;
  }

  // The patch that undoes and redoes what happened since begin, or null where nothing did.
  end() {
    const { before, dirty } = this;
    this.before = this.dirty = null;
    if (!dirty) return null;
    const patch = { box: dirty, before: cut(before, this.width, dirty), after: cut(this.data, this.width, dirty) };
    if (patch.before.every((value, i) => value === patch.after[i])) return null;
    this.recount();
    return patch;
  }

  put(box, bytes) {
    const [left, top, right, bottom] = box;
    const wide = right - left;
    for (let row = top; row < bottom; row++) {
      this.data.set(bytes.subarray((row - top) * wide, (row - top + 1) * wide), row * this.width + left);
    }
    this.show(box);
    this.recount();
  }

  recount() {
    let count = 0;
    for (const value of this.data) count += value;
    this.count = count;
    this.version++;
  }

  show([left, top, right, bottom]) {
    const picture = new ImageData(right - left, bottom - top);
    const pixels = new Uint32Array(picture.data.buffer);
    const red = new Uint32Array(new Uint8Array(RED).buffer)[0];
    for (let row = top, i = 0; row < bottom; row++) {
      const start = row * this.width;
      for (let column = left; column < right; column++, i++) if (this.data[start + column]) pixels[i] = red;
    }
    this.context.putImageData(picture, left, top);
  }

  // The smallest box around the hole, or null.
  bounds() {
    let box = null;
    for (let row = 0; row < this.height; row++) {
      const start = row * this.width;
      const first = this.data.subarray(start, start + this.width).indexOf(1);
      if (first < 0) continue;
      const last = this.data.subarray(start, start + this.width).lastIndexOf(1);
      box = union(box, [first, row, last + 1, row + 1]);
    }
    return box;
  }

  // A PNG of the picture's size, white where it is to be filled.
  async png() {
    const canvas = new OffscreenCanvas(this.width, this.height);
    const picture = new ImageData(this.width, this.height);
    const pixels = new Uint32Array(picture.data.buffer);
    for (let i = 0; i < pixels.length; i++) pixels[i] = this.data[i] ? 0xffffffff : 0xff000000;
    canvas.getContext("2d").putImageData(picture, 0, 0);
    return canvas.convertToBlob({ type: "image/png" });
  }

  // Takes over a mask of the picture's size, black and white.
  read(bitmap) {
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
    this.whole((_, i) => (data[4 * i] > 127 ? 1 : 0));
  }
}

function union(a, b) {
  if (!a) return b;
  return [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[2], b[2]), Math.max(a[3], b[3])];
}

function cut(data, width, [left, top, right, bottom]) {
  const wide = right - left;
  const bytes = new Uint8Array(wide * (bottom - top));
  for (let row = top; row < bottom; row++) {
    bytes.set(data.subarray(row * width + left, row * width + right), (row - top) * wide);
  }
  return bytes;
}
