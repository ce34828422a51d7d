// One fill from picture and mask to pictures, as `maskmend.pipeline` does it:
//
//   windows on the hole ─► regions ─► encode, decode, draw ─► joined ─► finer levels ─► plain surroundings interpolated

import { familiarity } from "./familiarity.js";
import { boxesByPart, cellCount, planLevels, refine } from "./levels.js";
import { Pace } from "./pace.js";
import { interpolatePlain } from "./plain.js";
import { copied, cut, cutMask, rounded, toLevels, toModel } from "./planes.js";
import { cutRegion, guided } from "./regions.js";
import { resize } from "./resize.js";
import { composite } from "./seam.js";
import { softness } from "./sharpness.js";
import { joined } from "./texts.js";
import { fade, layWindows, shownOf } from "./windows.js";

const NOT_YET = 128;
const EQUAL = 1e-6;

// {pictures, tokens (of each seed, window after window), likelihood (nats a token), best, entropy (a plane), unfamiliar,
// note (a text)}.
//
// `picture` is in levels, `mask` holds a hole, `seeds` are BigInts, `guide` {planes, painted} or null; `tell(name, data)`
// is awaited with "step" and "level".
export async function fillPicture(model, { picture, mask, seeds, settings, guide = null, tell = async () => {} }) {
  const { resolution, guesses } = model.about;
  const pace = new Pace(settings.steps, undefined, settings.detail_steps);
  const windows = layWindows(mask, { resolution, context: settings.context, most: settings.windows, guesses });
  const levels = settings.detail !== "auto" || guesses ? planLevels(mask, windows, resolution, settings.detail) : [];
  const finer = cellCount(levels);
  const parts = [];
  for (const [i, window] of windows.entries()) {
    const region = guided(cutRegion(picture, mask, window, resolution), picture, mask, guide, settings.guide_strength);
    const seen = toLevels(region.image);
    const place = { part: i + 1, parts: windows.length };
    const told = async (t, pictures, masked) => tell("step", {
      step: t, steps: settings.steps, ...place, box: window.box,
      seconds_left: pace.left({ ...place, step: t, last: masked.every((open) => !open.includes(1)), finer }),
      pictures: pictures.map((drawn) => composite(seen, drawn, region.mask, settings.seam)), masked,
    });
    parts.push({ region, ...(await model.fill(region, seeds, settings, told)) });
  }
  const open = parts.reduce((sum, part) => sum + part.open, 0);
  const likelihood = seeds.map((_, n) => parts.reduce((sum, part) => sum + part.likelihood[n], 0) / Math.max(open, 1));
  let pictures = seeds.map((_, n) => join(picture, mask, parts.map(({ region, pictures: drawn }) => [region, drawn[n]]), settings.seam));
  if (levels.length) pictures = await refined(model, pictures, mask, levels, seeds, settings, tell);
  const soft = guesses && settings.detail === "auto" ? softness(mask, windows, levels, resolution, settings) : null;
  if (settings.plain > 0) pictures = pictures.map((filled) => interpolated(filled, mask, windows, settings, guide));
  const entropy = spread(parts, mask, model.about.factor);
  const familiar = familiarity(parts, mask, entropy, model.about.domain);
  return {
    pictures,
    tokens: seeds.map((_, n) => parts.flatMap((part) => [...part.tokens[n]])),
    likelihood,
    best: bestOf(likelihood, settings.ranking),
    entropy,
    unfamiliar: familiar.unfamiliar,
    note: joined(familiar.note, soft),
  };
}

// The earliest of equals; "typical" is the lower of the two in the middle (`maskmend.fill.result.best_of`).
export function bestOf(likelihood, ranking) {
  const ordered = [...likelihood].sort((a, b) => a - b);
  const middle = ordered[Math.ceil(ordered.length / 2) - 1];
  const worth = likelihood.map((value) => (ranking === "typical" ? -Math.abs(value - middle) : value));
  const most = Math.max(...worth);
  return worth.findIndex((value) => value >= most - EQUAL);
}

// `picture` with its hole taken from the fills of its regions; what no region shows is grey.
function join(picture, mask, fills, seam) {
  const result = copied(picture);
  for (const plane of result.planes) mask.data.forEach((value, i) => { if (value) plane[i] = NOT_YET; });
  const joined = fills.map(([region, drawn]) => {
    const { box } = region.window;
    return [region, composite(cut(picture, box), resize(drawn, box, "bicubic"), cutMask(mask, box), seam)];
  });
  blend(joined, 3, (part, values, total) => inBox(part, result.width, (at, i) => {
    if (mask.data[at] && total[i] > 0) result.planes.forEach((plane, c) => { plane[at] = rounded(values[c][i] / total[i]); });
  }));
  return result;
}

// The entropy of each region's tokens as a map over the picture, 0 at known pixels.
function spread(parts, mask, factor) {
  const plane = new Float32Array(mask.data.length);
  const scaled = parts.map(({ region, entropy }) => {
    const size = { width: entropy.width * factor, height: entropy.height * factor };
    const cells = Float32Array.from({ length: size.width * size.height }, (_, i) => (
      entropy.planes[0][Math.floor(i / size.width / factor) * entropy.width + Math.floor((i % size.width) / factor)]));
    return [region, resize({ ...size, planes: [cells] }, region.window.box, "bilinear")];
  });
  blend(scaled, 1, (part, [values], total) => inBox(part, mask.width, (at, i) => {
    if (mask.data[at] && total[i] > 0) plane[at] += values[i] / total[i];
  }));
  return plane;
}

function inBox({ top, left, height, width }, stride, use) {
  for (let row = 0, i = 0; row < height; row++) {
    for (let column = 0; column < width; column++, i++) use((row + top) * stride + column + left, i);
  }
}

// Sums of weighted values in the bounds of each part: regions that overlap fade into each other.
function blend(pairs, channels, use) {
  for (const part of new Set(pairs.map(([region]) => region.window.part))) {
    const size = part.width * part.height;
    const values = Array.from({ length: channels }, () => new Float64Array(size));
    const total = new Float64Array(size);
    for (const [{ window }, picture] of pairs) {
      if (window.part !== part) continue;
      const { box, cell } = window;
      const shown = shownOf(window);
      const [down, across] = cell
        ? [fade(shown.top, shown.height, cell.top, cell.height), fade(shown.left, shown.width, cell.left, cell.width)]
        : [new Float64Array(shown.height).fill(1), new Float64Array(shown.width).fill(1)];
      for (let row = 0; row < shown.height; row++) {
        for (let column = 0; column < shown.width; column++) {
          const weight = down[row] * across[column];
          const to = (row + shown.top - part.top) * part.width + column + shown.left - part.left;
          const from = (row + shown.top - box.top) * box.width + column + shown.left - box.left;
          picture.planes.forEach((plane, c) => { values[c][to] += weight * plane[from]; });
          total[to] += weight;
        }
      }
    }
    use(part, values, total);
  }
}

async function refined(model, pictures, mask, levels, seeds, settings, tell) {
  const { resolution } = model.about;
  const once = { ...settings, steps: settings.detail_steps, sweet_spot: null };
  const total = cellCount(levels);
  const redraw = async (seen, open, window, seed) => {
    const region = { window, image: toModel(seen), mask: open, guess: open.data };
    return (await model.fill(region, [seed], once)).pictures[0];
  };
  const results = [];
  for (const [sample, picture] of pictures.entries()) {
    let done = 0;
    const begun = performance.now();
    const progress = (level) => {
      done += 1;
      const each = (performance.now() - begun) / 1000 / done;
      return tell("level", {
        sample, samples: seeds.length, level, levels: levels.length, windows: done, total, seconds_left: each * (total - done),
      });
    };
    results.push(await refine(picture, mask, levels, { redraw, resolution, seam: settings.seam, seed: seeds[sample], progress }));
  }
  return results;
}

// What is drawn from a guide stays, and the interpolation beside it starts from there.
function interpolated(picture, mask, windows, settings, guide) {
  const open = guide && settings.guide_strength > 0
    ? { ...mask, data: mask.data.map((value, i) => (value && !guide.painted[i] ? 1 : 0)) }
    : mask;
  const result = copied(picture);
  for (const { bounds: box } of boxesByPart(windows)) {
    const part = interpolatePlain(cut(result, box), cutMask(open, box), settings.plain);
    inBox(box, result.width, (at, i) => result.planes.forEach((plane, c) => { plane[at] = part.planes[c][i]; }));
  }
  return result;
}
