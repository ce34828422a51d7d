// Plain surroundings: where a clear sky or a wall surrounds a hole, it is interpolated (`maskmend.fill.plain`).

import { blurPlane } from "./blur.js";
import { diffusePlane } from "./infill.js";
import { rounded } from "./planes.js";

const BLUR = 2;
const REACH = 3;
const { fround } = Math;

// `picture`, whose hole is filled, with the fill replaced by interpolation where the known surroundings are plain.
// `limit` is the roughness, in grey levels, up to which all of it is.
export function interpolatePlain(picture, mask, limit) {
  if (!(limit > 0) || !mask.data.includes(0) || !mask.data.includes(1)) return picture;
  const spread = (plane) => diffusePlane(Float32Array.from(plane, (level) => fround(level / 127.5) - 1), mask.data, mask.width, mask.height)
    .map((value) => fround(value + 1) * 127.5);
  const smooth = picture.planes.map(spread);
  const rough = new Float32Array(mask.data.length);
  for (const plane of smooth) blurPlane(plane, mask, BLUR).forEach((value, i) => { rough[i] += Math.abs(plane[i] - value) / 3; });
  const known = Float32Array.from(mask.data, (open) => 1 - open);
  const total = blurPlane(known, mask, REACH);
  const local = blurPlane(rough.map((value, i) => value * known[i]), mask, REACH).map((value, i) => value / Math.max(total[i], 1e-6));
  const around = spread(local);
  const share = (i) => Math.min(Math.max(2 - around[i] / Math.max(limit, 1e-6), 0), 1);
  const planes = picture.planes.map((plane, c) => plane.map((level, i) => (
    mask.data[i] ? rounded(share(i) * smooth[c][i] + (1 - share(i)) * level) : level)));
  return { ...picture, planes };
}
