// Pictures in memory: {width, height, planes}, a typed array of width * height numbers for each colour. Levels are 0 to
// 255, what a model sees is -1 to 1. A mask is {width, height, data}: 1 = to be filled. A box is {top, left, height,
// width}.

const { fround } = Math;

export function toModel({ width, height, planes }) {
  return { width, height, planes: planes.map((plane) => Float32Array.from(plane, (level) => fround(level / 127.5) - 1)) };
}

// Rounded to the nearest level, halves to even as in NumPy.
export function toLevels({ width, height, planes }) {
  const levels = (plane) => Uint8Array.from(plane, (value) => rounded(fround(fround(value + 1) * 127.5)));
  return { width, height, planes: planes.map(levels) };
}

export function rounded(value) {
  const low = Math.floor(value);
  const up = value - low > 0.5 || (value - low === 0.5 && low % 2 !== 0);
  return Math.min(Math.max(low + (up ? 1 : 0), 0), 255);
}

// The part of a plane in a box.
export function cutPlane(plane, width, { top, left, height: rows, width: columns }) {
  const cut = new plane.constructor(rows * columns);
  for (let row = 0; row < rows; row++) {
    const start = (top + row) * width + left;
    cut.set(plane.subarray(start, start + columns), row * columns);
  }
  return cut;
}

export function cut({ width, planes }, box) {
  return { width: box.width, height: box.height, planes: planes.map((plane) => cutPlane(plane, width, box)) };
}

export function cutMask({ width, data }, box) {
  return { width: box.width, height: box.height, data: cutPlane(data, width, box) };
}

export function copied({ width, height, planes }) {
  return { width, height, planes: planes.map((plane) => plane.slice()) };
}

export function within(box, frame) {
  return { ...box, top: box.top - frame.top, left: box.left - frame.left };
}

export function holds({ data }) {
  return data.includes(1);
}

// The smallest box around the hole; null of an empty one.
export function boundsOf({ width, height, data }) {
  let [top, left, bottom, right] = [height, width, 0, 0];
  for (let row = 0, i = 0; row < height; row++) {
    for (let column = 0; column < width; column++, i++) {
      if (!data[i]) continue;
      if (row < top) top = row;
      if (row >= bottom) bottom = row + 1;
      if (column < left) left = column;
      if (column >= right) right = column + 1;
    }
  }
  return bottom > top ? { top, left, height: bottom - top, width: right - left } : null;
}
