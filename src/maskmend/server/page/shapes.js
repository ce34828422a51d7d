// Shapes as spans of pixels, [row, first column, column after the last]; a pixel belongs to a shape when its centre
// lies inside. Exact and without soft edges: a mask is yes or no.

export function* disc(x, y, radius) {
  yield* capsule(x, y, x, y, radius);
}

// All within `radius` of the segment from (x0, y0) to (x1, y1): a brush drawn along it.
export function* capsule(x0, y0, x1, y1, radius) {
  if (radius <= 0.5) {
    yield* line(x0, y0, x1, y1);
    return;
  }
  const length = Math.hypot(x1 - x0, y1 - y0);
  const nx = length ? (-(y1 - y0) / length) * radius : 0;
  const ny = length ? ((x1 - x0) / length) * radius : 0;
  const corners = [[x0 + nx, y0 + ny], [x1 + nx, y1 + ny], [x1 - nx, y1 - ny], [x0 - nx, y0 - ny]];
  const top = Math.ceil(Math.min(y0, y1) - radius - 0.5);
  const bottom = Math.floor(Math.max(y0, y1) + radius - 0.5);
  for (let row = top; row <= bottom; row++) {
    const y = row + 0.5;
    let left = Infinity;
    let right = -Infinity;
    const reach = (x) => { left = Math.min(left, x); right = Math.max(right, x); };
    for (const [cx, cy] of [[x0, y0], [x1, y1]]) {
      const half = radius * radius - (y - cy) * (y - cy);
      if (half >= 0) { reach(cx - Math.sqrt(half)); reach(cx + Math.sqrt(half)); }
    }
    for (const x of length ? crossings(corners, y) : []) reach(x.at);
    const first = Math.ceil(left - 0.5);
    const after = Math.floor(right - 0.5) + 1;
    if (after > first) yield [row, first, after];
  }
}

// A brush of one pixel: those that the segment passes through, sampled finely enough to leave no gap.
function* line(x0, y0, x1, y1) {
  const steps = Math.ceil(Math.hypot(x1 - x0, y1 - y0) * 2) || 1;
  for (let i = 0; i <= steps; i++) {
    const column = Math.floor(x0 + ((x1 - x0) * i) / steps);
    yield [Math.floor(y0 + ((y1 - y0) * i) / steps), column, column + 1];
  }
}

export function* rectangle(x0, y0, x1, y1) {
  const [left, right] = [Math.floor(Math.min(x0, x1)), Math.ceil(Math.max(x0, x1))];
  const [top, bottom] = [Math.floor(Math.min(y0, y1)), Math.ceil(Math.max(y0, y1))];
  for (let row = top; row < bottom; row++) yield [row, left, right];
}

// The inside of a closed line that may cross itself: wherever it winds around.
export function* polygon(points) {
  if (points.length < 3) return;
  const rows = points.map(([, y]) => y);
  const bottom = Math.floor(Math.max(...rows) - 0.5);
  for (let row = Math.ceil(Math.min(...rows) - 0.5); row <= bottom; row++) {
    let winding = 0;
    let start = 0;
    for (const { at, turn } of crossings(points, row + 0.5)) {
      if (winding === 0) start = at;
      winding += turn;
      if (winding === 0) {
        const first = Math.ceil(start - 0.5);
        const after = Math.floor(at - 0.5) + 1;
        if (after > first) yield [row, first, after];
      }
    }
  }
}

// Where a closed line crosses the horizontal at `y`, from left to right, and whether upwards or downwards.
function crossings(points, y) {
  const found = [];
  for (let i = 0; i < points.length; i++) {
    const [ax, ay] = points[i];
    const [bx, by] = points[(i + 1) % points.length];
    if (ay <= y !== by <= y) found.push({ at: ax + ((y - ay) / (by - ay)) * (bx - ax), turn: by > ay ? 1 : -1 });
  }
  return found.sort((a, b) => a.at - b.at);
}
