// What a request says, as what a fill takes: new canvas beside the picture, a hole that grows, a guide's colours.

import { copied } from "./planes.js";

const SIDES = ["left", "right", "top", "bottom"];

// The picture and its mask on a larger canvas, open where it is new; `text` is "left=20,top=3", in pixels.
export function extended(picture, mask, text) {
  if (!text) return { picture, mask };
  const given = Object.fromEntries(text.split(",").map((part) => part.split("=")));
  const [left, right, top, bottom] = SIDES.map((side) => Number(given[side] ?? 0));
  const [width, height] = [picture.width + left + right, picture.height + top + bottom];
  const moved = (plane, empty) => {
    const wide = new Uint8Array(width * height).fill(empty);
    for (let row = 0; row < picture.height; row++) {
      wide.set(plane.subarray(row * picture.width, (row + 1) * picture.width), (row + top) * width + left);
    }
    return wide;
  };
  return {
    picture: { ...picture, width, height, planes: picture.planes.map((plane) => moved(plane, 0)), alpha: picture.alpha && moved(picture.alpha, 0) },
    mask: { width, height, data: moved(mask?.data ?? new Uint8Array(picture.width * picture.height), 1) },
  };
}

// The hole and all within `pixels` of it.
export function grown(mask, pixels) {
  if (!pixels) return mask;
  const { width, height, data } = mask;
  const result = data.slice();
  const spans = Array.from({ length: 2 * pixels + 1 }, (_, i) => Math.floor(Math.sqrt(pixels ** 2 - (i - pixels) ** 2)));
  const inner = (i, x) => x > 0 && x < width - 1 && i >= width && i + width < data.length && data[i - 1] && data[i + 1] && data[i - width] && data[i + width];
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (!data[i] || inner(i, x)) continue;
      spans.forEach((span, n) => {
        const row = y + n - pixels;
        if (row < 0 || row >= height) return;
        result.fill(1, row * width + Math.max(x - span, 0), row * width + Math.min(x + span + 1, width));
      });
    }
  }
  return { width, height, data: result };
}

// The colours in the hole, {planes, painted}; null where there are none.
export function guideFrom(picture, mask) {
  if (!picture) return null;
  const painted = mask.data.map((open, i) => (open && picture.alpha?.[i] ? 1 : 0));
  return painted.includes(1) ? { planes: picture.planes, painted } : null;
}

// A filled picture as its file holds it: grey where it is grey, and opaque in the hole.
export function finished(source, mask, filled) {
  const result = { ...source, ...copied(filled) };
  if (source.grey) {
    // Pillow's luma, in whole numbers.
    const [red, green, blue] = result.planes;
    const grey = red.map((_, i) => (mask.data[i] ? (red[i] * 19595 + green[i] * 38470 + blue[i] * 7471 + 0x8000) >> 16 : source.planes[0][i]));
    result.planes = [grey, grey, grey];
  }
  if (source.alpha) result.alpha = source.alpha.map((value, i) => (mask.data[i] ? 255 : value));
  return result;
}
