// All pixels that hang together with a given one and differ from it by no more than a tolerance in any of red, green,
// blue and transparency: what the smart brush paints.

// Spans [row, first column, column after the last]; `pixels` is an ImageData, `tolerance` in levels of 0 to 255.
export function* flood(pixels, x, y, tolerance) {
  const { width, height, data } = pixels;
  if (x < 0 || y < 0 || x >= width || y >= height) return;
  const seed = 4 * (y * width + x);
  const [red, green, blue, alpha] = data.subarray(seed, seed + 4);
  const near = (i) => Math.abs(data[i] - red) <= tolerance && Math.abs(data[i + 1] - green) <= tolerance
    && Math.abs(data[i + 2] - blue) <= tolerance && Math.abs(data[i + 3] - alpha) <= tolerance;
  const done = new Uint8Array(width * height);
  const open = (column, row) => !done[row * width + column] && near(4 * (row * width + column));
  const waiting = [[x, y]];
  while (waiting.length) {
    const [column, row] = waiting.pop();
    if (!open(column, row)) continue;
    let first = column;
    while (first > 0 && open(first - 1, row)) first--;
    let after = column + 1;
    while (after < width && open(after, row)) after++;
    done.fill(1, row * width + first, row * width + after);
    yield [row, first, after];
    for (const next of [row - 1, row + 1]) {
      if (next < 0 || next >= height) continue;
      for (let at = first; at < after; at++) {
        if (open(at, next) && (at === first || !open(at - 1, next))) waiting.push([at, next]);
      }
    }
  }
}

const read = new WeakMap();

// The pixels of a picture, read once.
export function pixelsOf(picture) {
  if (!read.has(picture)) {
    const context = new OffscreenCanvas(picture.width, picture.height).getContext("2d", { willReadFrequently: true });
    context.drawImage(picture, 0, 0);
    read.set(picture, context.getImageData(0, 0, picture.width, picture.height));
  }
  return read.get(picture);
}
