// Joining a fill with the original, known pixels to the bit (`maskmend.fill.compositing`): "hard" takes the fill as it is,
// "poisson" keeps its gradients and takes its level from around: the correction is harmonic over the hole.

import { boundsOf, cut, cutMask, holds, rounded } from "./planes.js";

const LARGEST_SOLVED = 20_000; // hole pixels up to which the equation is solved; Python solves 100 000 directly
const SMOOTHING = 20; // sweeps over a larger hole after doubling its correction
const PRECISE = 1e-5; // grey levels by which the solution may still move

export const SEAMS = ["hard", "poisson"];

// The original's levels with its hole taken from `fill`, levels that need not be whole.
export function composite(original, fill, mask, seam) {
  const correction = seam === "poisson" && holds(mask) && mask.data.includes(0) ? poisson(original, fill, mask) : null;
  const planes = original.planes.map((plane, c) => plane.map((level, i) => {
    if (!mask.data[i]) return level;
    return rounded(fill.planes[c][i] + (correction ? correction[c][i] : 0));
  }));
  return { width: original.width, height: original.height, planes };
}

function poisson(original, fill, mask) {
  const bounds = boundsOf(mask);
  const [top, left] = [Math.max(bounds.top - 1, 0), Math.max(bounds.left - 1, 0)];
  const box = {
    top,
    left,
    height: Math.min(bounds.top + bounds.height + 1, mask.height) - top,
    width: Math.min(bounds.left + bounds.width + 1, mask.width) - left,
  };
  const [here, there, hole] = [cut(original, box), cut(fill, box), cutMask(mask, box)];
  return here.planes.map((plane, c) => {
    const wanted = Float64Array.from(plane, (level, i) => (hole.data[i] ? 0 : level - there.planes[c][i]));
    const found = harmonic(wanted, hole);
    const whole = new Float64Array(mask.data.length);
    for (let row = 0; row < box.height; row++) {
      whole.set(found.subarray(row * box.width, (row + 1) * box.width), (row + top) * mask.width + left);
    }
    return whole;
  });
}

// The known values, extended into the hole so that each of its pixels is the mean of its neighbours.
export function harmonic(values, mask) {
  const start = approached(values, mask);
  const count = mask.data.reduce((sum, open) => sum + open, 0);
  return count <= LARGEST_SOLVED ? solved(start, mask) : start;
}

// Found at half the size, doubled, and smoothed.
function approached(values, mask) {
  const { width, height, data } = mask;
  const [wide, high] = [Math.ceil(width / 2), Math.ceil(height / 2)];
  const coarse = new Float64Array(wide * high);
  const hole = new Uint8Array(wide * high);
  for (let row = 0, i = 0; row < high; row++) {
    for (let column = 0; column < wide; column++, i++) {
      let count = 0;
      for (let y = 2 * row; y < Math.min(2 * row + 2, height); y++) {
        for (let x = 2 * column; x < Math.min(2 * column + 2, width); x++) {
          if (data[y * width + x]) continue;
          coarse[i] += values[y * width + x];
          count++;
        }
      }
      coarse[i] /= Math.max(count, 1);
      hole[i] = count ? 0 : 1;
    }
  }
  const half = { width: wide, height: high, data: hole };
  const found = hole.includes(1) && hole.includes(0) ? harmonic(coarse, half) : coarse;
  let now = values.map((value, i) => (data[i] ? found[Math.floor(i / width / 2) * wide + Math.floor((i % width) / 2)] : value));
  const open = Int32Array.from(data.keys()).filter((i) => data[i]);
  for (let sweep = 0; sweep < SMOOTHING; sweep++) {
    const next = now.slice();
    for (const i of open) {
      const column = i % width;
      next[i] = (now[i >= width ? i - width : i] + now[i + width < now.length ? i + width : i]
        + now[column > 0 ? i - 1 : i] + now[column < width - 1 ? i + 1 : i]) / 4;
    }
    now = next;
  }
  return now;
}

// By conjugate gradients from `start`. A neighbour beyond the border does not exist: no flow through it.
function solved(start, { width, height, data }) {
  const open = Int32Array.from(data.keys()).filter((i) => data[i]);
  const index = new Int32Array(data.length).fill(-1);
  open.forEach((i, n) => { index[i] = n; });
  const around = (i) => {
    const column = i % width;
    return [i - width, i + width, column > 0 ? i - 1 : -1, column < width - 1 ? i + 1 : -1].filter((j) => j >= 0 && j < width * height);
  };
  const links = new Int32Array(open.length * 4).fill(-1);
  const degree = new Float64Array(open.length);
  const solution = Float64Array.from(open, (i) => start[i]);
  const given = new Float64Array(open.length);
  open.forEach((i, n) => {
    around(i).forEach((j, k) => {
      degree[n]++;
      if (index[j] >= 0) links[n * 4 + k] = index[j];
      else given[n] += start[j];
    });
  });
  const applied = (x) => {
    const result = new Float64Array(x.length);
    for (let n = 0; n < x.length; n++) {
      let sum = degree[n] * x[n];
      for (let k = n * 4; k < n * 4 + 4; k++) if (links[k] >= 0) sum -= x[links[k]];
      result[n] = sum;
    }
    return result;
  };
  const dot = (a, b) => { let sum = 0; for (let n = 0; n < a.length; n++) sum += a[n] * b[n]; return sum; };
  const first = applied(solution);
  const residual = given.map((value, n) => value - first[n]);
  let way = residual.map((value, n) => value / degree[n]);
  let energy = dot(residual, way);
  for (let turn = 0; turn < 10 * Math.sqrt(open.length) + 50 && energy > open.length * PRECISE ** 2 * 1e-3; turn++) {
    const push = applied(way);
    const far = energy / dot(way, push);
    for (let n = 0; n < solution.length; n++) {
      solution[n] += far * way[n];
      residual[n] -= far * push[n];
    }
    const scaled = residual.map((value, n) => value / degree[n]);
    const now = dot(residual, scaled);
    way = scaled.map((value, n) => value + (now / energy) * way[n]);
    energy = now;
  }
  const result = start.slice();
  open.forEach((i, n) => { result[i] = solution[n]; });
  return result;
}
