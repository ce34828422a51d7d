// How far a picture lies from what the model learnt and how uncertain its hole is, and the note that says so
// (`maskmend.fill.familiarity`, `maskmend.fill.texture`).

import { cutMask, cutPlane, toLevels } from "./planes.js";
import { joined, t } from "./texts.js";
import { squareAround, USUAL } from "./windows.js";

const LEAST = 0.25; // share of what the model sees that must be known
const ROUNDING = 0.3; // grey levels, added to the mean differences of pixels

// `parts` are {region, distances, hole} of each window, `entropy` is the plane of the picture, `domain` is {learnt, distance},
// with {texture, uncertainty} where they were measured, or null. {unfamiliar, note}: the distance as a share of the limit and a
// text; null where there is nothing to say.
export function familiarity(parts, mask, entropy, domain) {
  const unfamiliar = shareOfLimit(parts, domain);
  const share = knownShare(parts, mask);
  if (share < LEAST) return { unfamiliar, note: littleKnown(share > 0, domain?.learnt) };
  const uncertain = domain?.uncertainty != null && holeUncertainty(parts, mask, entropy) > domain.uncertainty;
  return { unfamiliar, note: joined(unfamiliar > 1 ? unlike(domain.learnt) : null, uncertain ? invented() : null) };
}

function unlike(learnt) {
  return t`this picture is unlike what the model learnt (${learnt}): expect the fill to look like them`;
}

function invented() {
  return t`the hole is wide and its surroundings tell little about it: much is invented there, look closely`;
}

function littleKnown(something, learnt) {
  if (something && learnt) return t`the mask leaves little of the picture to go by: the fill shows what the model learnt (${learnt})`;
  if (something) return t`the mask leaves little of the picture to go by: the fill shows what the model learnt`;
  if (learnt) return t`the mask leaves nothing of the picture to go by: the fill shows what the model learnt (${learnt})`;
  return t`the mask leaves nothing of the picture to go by: the fill shows what the model learnt`;
}

function shareOfLimit(parts, domain) {
  if (!domain) return null;
  const distance = domain.texture ? textureDistance(parts, domain.texture) : quantizationDistance(parts);
  return distance === null ? null : distance / domain.distance;
}

// Mean squared distance of the known tokens' latents from their codes; null where too few are known.
function quantizationDistance(parts) {
  let [sum, known, all] = [0, 0, 0];
  for (const { distances, hole } of parts) {
    all += hole.length;
    hole.forEach((open, i) => {
      if (open) return;
      known += 1;
      sum += distances[i];
    });
  }
  return known >= LEAST * all ? sum / known : null;
}

// Mahalanobis distance of the texture of the known pixels from the usual one; null where too few are known.
function textureDistance(parts, { mean, precision }) {
  const texture = textureOf(parts);
  if (texture === null) return null;
  const apart = texture.map((value, i) => value - mean[i]);
  const squared = apart.reduce((sum, a, i) => sum + a * apart.reduce((row, b, j) => row + precision[i][j] * b, 0), 0);
  return Math.sqrt(squared);
}

function textureOf(parts) {
  const [near, far] = [{ sum: 0, pairs: 0, equal: 0 }, { sum: 0, pairs: 0, equal: 0 }];
  let [known, all] = [0, 0];
  for (const { region } of parts) {
    const { width, height, planes } = toLevels(region.image);
    const open = region.mask.data;
    all += open.length;
    known += open.reduce((sum, value) => sum + (value ? 0 : 1), 0);
    for (const [total, apart] of [[near, 1], [far, 2]]) {
      for (let row = 0, i = 0; row < height; row++) {
        for (let column = 0; column < width; column++, i++) {
          if (open[i]) continue;
          if (column + apart < width && !open[i + apart]) count(total, planes, i, i + apart);
          if (row + apart < height && !open[i + apart * width]) count(total, planes, i, i + apart * width);
        }
      }
    }
  }
  if (known < LEAST * all || !near.pairs || !far.pairs) return null;
  const [one, two] = [near, far].map(({ sum, pairs }) => sum / (3 * pairs) + ROUNDING);
  return [Math.sqrt(near.equal / near.pairs), Math.log(one), Math.log(two / one)];
}

function count(total, planes, a, b) {
  let most = 0;
  for (const plane of planes) {
    const step = Math.abs(plane[a] - plane[b]);
    total.sum += step;
    if (step > most) most = step;
  }
  total.pairs += 1;
  if (most <= 1) total.equal += 1;
}

// How much there is to invent: nats for each pixel of the square around a hole, of the widest one.
function holeUncertainty(parts, mask, entropy) {
  const side = parts[0].region.image.width;
  const holes = [...new Set(parts.map(({ region }) => region.window.part))];
  return Math.max(...holes.map((part) => {
    const around = squareAround(part, mask, USUAL, side);
    const total = cutPlane(entropy, mask.width, part).reduce((sum, value) => sum + value, 0);
    return total / (around.height * around.width);
  }));
}

// The share of known pixels in what the model saw.
function knownShare(parts, mask) {
  let [open, all] = [0, 0];
  for (const { region } of parts) {
    const { data } = cutMask(mask, region.window.box);
    all += data.length;
    open += data.reduce((sum, value) => sum + value, 0);
  }
  return 1 - open / all;
}
