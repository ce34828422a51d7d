// Coarse to fine: a wide hole, filled at a coarse scale, is drawn anew at finer ones, up to full size
// (`maskmend.fill.levels`, which explains how).

import { blurPlane } from "./blur.js";
import { boundsOf, copied, cut, cutMask, within } from "./planes.js";
import { resize, resizeMask } from "./resize.js";
import { composite } from "./seam.js";
import { windowSeed } from "./seeds.js";
import { aroundCell, cellsOver } from "./windows.js";

const MOST_WINDOWS = 512;
const KEPT_BELOW = 2;

// Each part of the hole with the smallest box around what its windows show of the picture.
export function boxesByPart(windows) {
  const groups = new Map();
  for (const { part, box } of windows) groups.set(part, [...(groups.get(part) ?? []), box]);
  return [...groups].map(([part, boxes]) => ({ part, boxes, bounds: boundsOfBoxes(boxes) }));
}

function boundsOfBoxes(boxes) {
  const [top, left] = [Math.min(...boxes.map((box) => box.top)), Math.min(...boxes.map((box) => box.left))];
  const bottom = Math.max(...boxes.map((box) => box.top + box.height));
  const right = Math.max(...boxes.map((box) => box.left + box.width));
  return { top, left, height: bottom - top, width: right - left };
}

// The finer scales of a hole that `windows` fill, coarsest first: {box, scale, size, cells}.
export function planLevels(mask, windows, resolution, detail) {
  const levels = [];
  let count = 0;
  const most = typeof detail === "number" ? detail : 64;
  for (const { part, boxes, bounds: box } of boxesByPart(windows)) {
    const shrunk = coarseScale(boxes, resolution);
    for (const scale of scales(shrunk).slice(0, most)) {
      const size = { width: even(box.width / scale), height: even(box.height / scale) };
      if (Math.min(size.width, size.height) < resolution) continue;
      const cells = coloured(resizeMask(alone(mask, box, part), size), Math.floor(resolution / 2));
      if (detail === "auto" && count + cells.length > MOST_WINDOWS) break;
      count += cells.length;
      levels.push({ box, scale, size, cells });
    }
  }
  return levels.sort((a, b) => b.scale - a.scale);
}

// Picture pixels to one of a part's coarse fill.
export function coarseScale(boxes, resolution) {
  return Math.max(...boxes.map(({ height, width }) => Math.max(height, width))) / resolution;
}

export function cellCount(levels) {
  return levels.reduce((sum, level) => sum + level.cells.length, 0);
}

// As Python rounds, halves to even.
function even(value) {
  const low = Math.floor(value);
  return value - low > 0.5 || (value - low === 0.5 && low % 2) ? low + 1 : low;
}

function scales(shrunk) {
  const count = shrunk > 1 ? Math.max(0, Math.ceil(Math.log2(shrunk) - 0.2)) : 0;
  return Array.from({ length: count }, (_, i) => shrunk ** (1 - (i + 1) / count));
}

// The hole of one part within a box.
function alone(mask, box, part) {
  const whole = cutMask(mask, box);
  const inside = within(part, box);
  const own = cutMask(mask, part);
  whole.data.fill(0);
  for (let row = 0; row < part.height; row++) {
    whole.data.set(own.data.subarray(row * part.width, (row + 1) * part.width), (row + inside.top) * box.width + inside.left);
  }
  return whole;
}

// Cells that hold hole pixels, each with its colour on the checkerboard.
function coloured(hole, side) {
  const all = cellsOver(boundsOf(hole), side);
  const [first] = all;
  return all.filter((cell) => cutMask(hole, inside(cell, hole)).data.includes(1))
    .map((cell) => ({ cell, colour: ((cell.top - first.top) / side + (cell.left - first.left) / side) % 2 }));
}

// The part of a cell that lies within a picture.
function inside(cell, { width, height }) {
  const [top, left] = [Math.max(cell.top, 0), Math.max(cell.left, 0)];
  return {
    top, left,
    height: Math.min(cell.top + cell.height, height) - top,
    width: Math.min(cell.left + cell.width, width) - left,
  };
}

// `picture`, whose hole is filled coarsely, with the hole drawn anew level by level. `redraw(region, seed)` is a promise
// of the model's picture of a region whose hole holds a guess; `progress(level)` is awaited after each window.
export async function refine(picture, mask, levels, { redraw, resolution, seam, seed, progress }) {
  let result = picture;
  for (const [i, level] of levels.entries()) {
    const { box, size } = level;
    const [crop, hole] = [cut(result, box), cutMask(mask, box)];
    const same = size.width === box.width && size.height === box.height;
    const canvas = same ? crop : resize(crop, size, "lanczos");
    let drawn = await drawLevel(canvas, resizeMask(hole, size), level, {
      redraw, resolution, seam, seeds: [seed, i + 1], progress: () => progress(i + 1),
    });
    if (!same) drawn = composite(crop, resize(floats(drawn), box, "bicubic"), hole, seam);
    const own = { ...size, data: new Uint8Array(size.width * size.height) };
    for (const { cell } of level.cells) paint(own, inside(cell, size), 1);
    const covered = resizeMask(own, box);
    result = copied(result);
    for (let row = 0, at = 0; row < box.height; row++) {
      for (let column = 0; column < box.width; column++, at++) {
        if (!hole.data[at] || !covered.data[at]) continue;
        const to = (row + box.top) * result.width + column + box.left;
        result.planes.forEach((plane, c) => { plane[to] = drawn.planes[c][at]; });
      }
    }
  }
  return result;
}

function floats({ width, height, planes }) {
  return { width, height, planes: planes.map((plane) => Float32Array.from(plane)) };
}

function paint(mask, { top, left, height, width }, value) {
  for (let row = top; row < top + height; row++) mask.data.fill(value, row * mask.width + left, row * mask.width + left + width);
}

async function drawLevel(given, hole, level, { redraw, resolution, seam, seeds, progress }) {
  const canvas = copied(given);
  const undrawn = { ...hole, data: hole.data.slice() };
  for (const turn of [0, 1]) {
    const [before, left] = [copied(canvas), { ...undrawn, data: undrawn.data.slice() }];
    for (const [number, { cell, colour }] of level.cells.entries()) {
      if (colour !== turn) continue;
      const box = aroundCell(cell, resolution, hole);
      const [seen, open] = [cut(before, box), cutMask(left, box)];
      const fill = await redraw(seen, open, { box, part: box, cell }, windowSeed(...seeds, number));
      const kept = fill.planes.map((plane, c) => {
        const off = blurPlane(Float32Array.from(plane, (value, i) => seen.planes[c][i] - value), box, KEPT_BELOW);
        return plane.map((value, i) => value + off[i]);
      });
      const merged = composite(seen, { ...fill, planes: kept }, open, seam);
      const own = inside(cell, hole);
      for (let row = own.top; row < own.top + own.height; row++) {
        for (let column = own.left; column < own.left + own.width; column++) {
          const to = row * hole.width + column;
          if (!left.data[to]) continue;
          const from = (row - box.top) * box.width + column - box.left;
          canvas.planes.forEach((plane, c) => { plane[to] = merged.planes[c][from]; });
        }
      }
      paint(undrawn, own, 0);
      await progress();
    }
  }
  return canvas;
}
