// The part of a picture that the model sees, cut out and scaled (`maskmend.fill.crops`), with the colours of a guide in its
// hole (`maskmend.fill.guide`). A region is {window, image, mask, guess}: the picture in [-1, 1] with its hole filled, the
// hole, and 1 where the hole holds a guess of its content.

import { diffuse } from "./infill.js";
import { cut, cutMask, cutPlane, toLevels, toModel } from "./planes.js";
import { resize, resizeMask } from "./resize.js";

export function cutRegion(picture, mask, window, resolution) {
  const { box } = window;
  const hole = cutMask(mask, box);
  const image = diffuse(toModel(cut(picture, box)), hole);
  const guess = new Uint8Array(resolution * resolution);
  if (box.width === resolution && box.height === resolution) return { window, image, mask: hole, guess };
  const size = { width: resolution, height: resolution };
  const small = resizeMask(hole, size);
  // Once more at the model's resolution: what training saw is a smooth fill of the hole at this size.
  return { window, image: diffuse(scaled(image, size), small), mask: small, guess };
}

function scaled(image, size) {
  return toModel(resize(toLevels(image), size, "lanczos"));
}

// `region` with the guide's colours in its hole. `guide` is {planes, painted}, painted 1 where there is a colour in the
// hole; `strength` 1: the colours alone, below mixed with the smooth infill.
export function guided(region, picture, mask, guide, strength) {
  const { box } = region.window;
  const painted = guide && cutPlane(guide.painted, mask.width, box);
  if (!guide || !(strength > 0) || !painted.includes(1)) return region;
  const [known, colours] = [cut(picture, box), cut({ ...guide, width: mask.width, height: mask.height }, box)];
  const planes = known.planes.map((plane, c) => plane.map((level, i) => (painted[i] ? colours.planes[c][i] : level)));
  const open = cutMask(mask, box);
  const unpainted = { ...open, data: open.data.map((value, i) => (value && !painted[i] ? 1 : 0)) };
  let image = diffuse(toModel({ ...known, planes }), unpainted);
  const { width, height } = region.mask;
  let marks = { width: box.width, height: box.height, data: painted };
  if (box.width !== width || box.height !== height) {
    marks = resizeMask(marks, { width, height });
    const rest = region.mask.data.map((value, i) => (value && !marks.data[i] ? 1 : 0));
    image = diffuse(scaled(image, { width, height }), { width, height, data: rest });
  }
  const { fround } = Math;
  const mixed = (smooth, colour) => (strength >= 1 ? colour : smooth + fround(fround(strength) * fround(colour - smooth)));
  const result = region.image.planes.map((plane, c) => plane.map((value, i) => (
    region.mask.data[i] ? mixed(value, image.planes[c][i]) : value)));
  return {
    ...region,
    image: { width, height, planes: result },
    guess: region.mask.data.map((value, i) => (value && marks.data[i] ? 1 : 0)),
  };
}
