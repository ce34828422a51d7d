// Where the model looks: the squares of a picture through which a hole is filled; `maskmend.fill.windows`, line by line.

const FULLEST = 0.25;
const FULLEST_GUESSED = 0.5;
const SHRUNK = 2;
export const USUAL = 0.75;

// The windows of a hole, part by part: {box, part, cell}, cell null where it is the only one of its part.
export function layWindows(mask, { resolution, context, most, guesses }) {
  const fullest = guesses ? FULLEST_GUESSED : FULLEST;
  return splitHole(mask, resolution, context).flatMap((part) => {
    const [alone, usual] = [context, Math.min(context, USUAL)].map((around) => squareAround(part, mask, around, resolution));
    const several = severalWindows(mask, part, usual, resolution, most, fullest);
    return several.length ? several : [{ box: alone, part, cell: null }];
  });
}

// The square around a hole's bounds, wider than its longer side by `context` of it on either side.
export function squareAround(bounds, { width, height }, context, minimum) {
  const longest = Math.max(bounds.height, bounds.width);
  const wished = Math.max(Math.ceil(longest * (1 + 2 * context)), minimum);
  const side = Math.max(Math.min(wished, height, width), longest);
  const least = Math.ceil(2 * Math.min(context, 0.25) * longest); // of both sides of the hole together
  const axis = (start, extent, whole) => {
    const length = Math.min(Math.max(side, extent + least), whole);
    return [Math.min(Math.max(Math.floor((2 * start + extent - length) / 2), 0), whole - length), length];
  };
  const [top, tall] = axis(bounds.top, bounds.height, height);
  const [left, wide] = axis(bounds.left, bounds.width, width);
  return { top, left, height: tall, width: wide };
}

function severalWindows(mask, part, usual, resolution, most, fullest) {
  let count;
  for (let side = resolution; SHRUNK * side <= Math.max(usual.height, usual.width); side *= 2) {
    count ??= counter(mask, part);
    const cells = cellsOver(part, Math.max(1, Math.floor(side / 2))).filter(count);
    if (cells.length > most) continue;
    const windows = cells.map((cell) => ({ box: aroundCell(cell, side, mask), part, cell }));
    if (windows.every(({ box }) => count(box) <= fullest * box.height * box.width)) return windows;
  }
  return [];
}

// What counts the pixels of a part's hole in a box.
function counter(mask, part) {
  const stride = part.width + 1;
  const sums = new Float64Array(stride * (part.height + 1));
  for (let row = 0; row < part.height; row++) {
    let line = 0;
    for (let column = 0; column < part.width; column++) {
      line += mask.data[(part.top + row) * mask.width + part.left + column];
      const at = (row + 1) * stride + column + 1;
      sums[at] = sums[at - stride] + line;
    }
  }
  const inside = (value, most) => Math.min(Math.max(value, 0), most);
  return (box) => {
    const [top, bottom] = [box.top, box.top + box.height].map((row) => inside(row - part.top, part.height));
    const [left, right] = [box.left, box.left + box.width].map((column) => inside(column - part.left, part.width));
    return sums[bottom * stride + right] - sums[top * stride + right] - sums[bottom * stride + left] + sums[top * stride + left];
  };
}

// Squares side by side that cover a part, as far beyond it on one side as on the other.
export function cellsOver(part, side) {
  const [down, across] = [Math.ceil(part.height / side), Math.ceil(part.width / side)];
  const top = part.top - Math.floor((down * side - part.height) / 2);
  const left = part.left - Math.floor((across * side - part.width) / 2);
  const cells = [];
  for (let row = 0; row < down; row++) {
    for (let column = 0; column < across; column++) {
      cells.push({ top: top + row * side, left: left + column * side, height: side, width: side });
    }
  }
  return cells;
}

// A square of `side` with the cell in its middle, or as near to that as the picture allows.
export function aroundCell(cell, side, { width, height }) {
  const axis = (start, extent, whole) => {
    const length = Math.min(side, whole);
    return [Math.min(Math.max(start + Math.floor(extent / 2) - Math.floor(side / 2), 0), whole - length), length];
  };
  const [top, tall] = axis(cell.top, cell.height, height);
  const [left, wide] = axis(cell.left, cell.width, width);
  return { top, left, height: tall, width: wide };
}

// Where box and part overlap: the fill shows nowhere else.
export function shownOf({ box, part }) {
  const [top, left] = [Math.max(box.top, part.top), Math.max(box.left, part.left)];
  const bottom = Math.min(box.top + box.height, part.top + part.height);
  const right = Math.min(box.left + box.width, part.left + part.width);
  return { top, left, height: bottom - top, width: right - left };
}

// How much a window's fill counts along an axis of `shown`: 1 in the cell's middle, 1/2 at its border.
export function fade(start, length, cell, side) {
  return Float64Array.from({ length }, (_, i) => {
    const middle = start + i + 0.5;
    return Math.min(Math.max(1.5 - Math.abs(2 * (middle - cell) - side) / side, 0), 1);
  });
}

// The bounds of the parts of a hole that are filled each by itself, from top to bottom.
export function splitHole(mask, resolution, context) {
  let corners = pieces(mask, resolution, context);
  if (!corners.length) return [];
  if (mask.width === resolution && mask.height === resolution) corners = [around(corners)];
  while (true) {
    corners.sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2] || a[3] - b[3]);
    const boxes = corners.map(([top, left, bottom, right]) => ({ top, left, height: bottom - top, width: right - left }));
    const groups = overlapping(boxes.map((box) => squareAround(box, mask, context, resolution)));
    if (groups.length === boxes.length) return boxes;
    corners = groups.map((group) => around(group.map((i) => corners[i])));
  }
}

function around(corners) {
  return [Math.min, Math.min, Math.max, Math.max].map((choose, i) => corners.reduce((far, one) => choose(far, one[i]), corners[0][i]));
}

// The bounds of pieces of the hole that are certainly parts of one: on cells, those that touch.
function pieces({ width, height, data }, resolution, context) {
  const cell = Math.max(1, Math.trunc((resolution * context) / (1 + 2 * context)));
  const [rows, columns] = [Math.ceil(height / cell), Math.ceil(width / cell)];
  const corners = new Map();
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!data[y * width + x]) continue;
      const key = Math.floor(y / cell) * columns + Math.floor(x / cell);
      const box = corners.get(key);
      if (!box) corners.set(key, [y, x, y + 1, x + 1]);
      else {
        if (x < box[1]) box[1] = x;
        if (y >= box[2]) box[2] = y + 1;
        if (x >= box[3]) box[3] = x + 1;
      }
    }
  }
  const keys = [...corners.keys()];
  const place = new Map(keys.map((key, i) => [key, i]));
  const pairs = [];
  for (const key of keys) {
    const [row, column] = [Math.floor(key / columns), key % columns];
    for (const [down, right] of [[0, 1], [1, -1], [1, 0], [1, 1]]) {
      const other = (row + down) * columns + column + right;
      const inside = row + down < rows && column + right >= 0 && column + right < columns;
      if (inside && corners.has(other)) pairs.push([place.get(key), place.get(other)]);
    }
  }
  return connected(keys.length, pairs).map((group) => around(group.map((i) => corners.get(keys[i]))));
}

function overlapping(squares) {
  const pairs = [];
  const meet = (a, b) => a.top < b.top + b.height && b.top < a.top + a.height && a.left < b.left + b.width && b.left < a.left + a.width;
  squares.forEach((one, i) => squares.slice(0, i).forEach((other, j) => { if (meet(one, other)) pairs.push([j, i]); }));
  return connected(squares.length, pairs);
}

// Groups of 0 ... count - 1, the same for those that pairs join, directly or by way of others.
function connected(count, pairs) {
  const parent = Array.from({ length: count }, (_, i) => i);
  const root = (i) => {
    let at = i;
    while (parent[at] !== at) at = parent[at] = parent[parent[at]];
    return at;
  };
  for (const [one, other] of pairs) parent[root(other)] = root(one);
  const groups = new Map();
  for (let i = 0; i < count; i++) groups.set(root(i), [...(groups.get(root(i)) ?? []), i]);
  return [...groups.values()];
}
