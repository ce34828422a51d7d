// The smooth fill of a hole before encoding (`maskmend.images.infill`, "diffusion"), to the bit: float32 throughout, in
// the same order.

const RELAXATIONS = 6;
const { fround } = Math;

// The picture in [-1, 1] with its hole filled by diffusion from the known pixels, which stay as they are.
export function diffuse({ width, height, planes }, mask) {
  return { width, height, planes: planes.map((plane) => diffusePlane(plane, mask.data, width, height)) };
}

export function diffusePlane(plane, hole, width, height) {
  const levels = [{ colour: plane.map((value, i) => (hole[i] ? 0 : value)), hole, width, height }];
  while (Math.max(levels.at(-1).width, levels.at(-1).height) > 1) levels.push(coarser(levels.at(-1)));
  let filled = levels.pop().colour;
  let size = { width: 1, height: 1 };
  while (levels.length) {
    const level = levels.pop();
    const doubled = enlarged(filled, size.width, size.height);
    filled = level.colour.slice();
    for (let row = 0, i = 0; row < level.height; row++) {
      for (let column = 0; column < level.width; column++, i++) {
        if (level.hole[i]) filled[i] = doubled[row * size.width * 2 + column];
      }
    }
    for (let sweep = 0; sweep < RELAXATIONS; sweep++) filled = relaxed(filled, level);
    size = level;
  }
  return filled;
}

// A coarse cell is the mean of its known fine cells, and known if any of them is.
function coarser({ colour, hole, width, height }) {
  const [wide, high] = [Math.ceil(width / 2), Math.ceil(height / 2)];
  const next = { colour: new Float32Array(wide * high), hole: new Uint8Array(wide * high), width: wide, height: high };
  const at = (row, column) => (row < height && column < width ? row * width + column : -1);
  for (let row = 0, i = 0; row < high; row++) {
    for (let column = 0; column < wide; column++, i++) {
      const cells = [[0, 0], [1, 0], [0, 1], [1, 1]].map(([down, right]) => at(2 * row + down, 2 * column + right));
      const [a, b, c, d] = cells.map((cell) => (cell < 0 ? 0 : colour[cell]));
      const count = cells.reduce((sum, cell) => sum + (cell >= 0 && !hole[cell] ? 1 : 0), 0);
      next.colour[i] = fround(fround(a + b) + fround(c + d)) / Math.max(count, 1);
      next.hole[i] = count === 0 ? 1 : 0;
    }
  }
  return next;
}

// Bilinear interpolation to twice the size, edges repeated.
function enlarged(cells, width, height) {
  const mixed = (near, far) => fround(fround(near * 0.75) + fround(far * 0.25));
  const tall = new Float32Array(cells.length * 2);
  for (let row = 0; row < height; row++) {
    const [above, below] = [Math.max(row - 1, 0), Math.min(row + 1, height - 1)];
    for (let column = 0; column < width; column++) {
      const near = cells[row * width + column];
      tall[2 * row * width + column] = mixed(near, cells[above * width + column]);
      tall[(2 * row + 1) * width + column] = mixed(near, cells[below * width + column]);
    }
  }
  const wide = new Float32Array(tall.length * 2);
  for (let row = 0; row < 2 * height; row++) {
    for (let column = 0; column < width; column++) {
      const near = tall[row * width + column];
      wide[row * width * 2 + 2 * column] = mixed(near, tall[row * width + Math.max(column - 1, 0)]);
      wide[row * width * 2 + 2 * column + 1] = mixed(near, tall[row * width + Math.min(column + 1, width - 1)]);
    }
  }
  return wide;
}

// Hole cells become the mean of their four neighbours, edges repeated.
function relaxed(cells, { hole, width, height }) {
  const next = cells.slice();
  for (let row = 0, i = 0; row < height; row++) {
    for (let column = 0; column < width; column++, i++) {
      if (!hole[i]) continue;
      const above = cells[row > 0 ? i - width : i];
      const below = cells[row < height - 1 ? i + width : i];
      const left = cells[column > 0 ? i - 1 : i];
      const right = cells[column < width - 1 ? i + 1 : i];
      next[i] = fround(fround(above + below) + fround(left + right)) * 0.25;
    }
  }
  return next;
}
