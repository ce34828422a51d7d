// How far a picture lies from what the model learnt, and the note that says so (`maskmend.fill.familiarity`).

import { cutMask } from "./planes.js";
import { t } from "./texts.js";

const LEAST = 0.25; // share of what the model sees that must be known

// `parts` are {region, distances, hole} of each window, `domain` is {learnt, distance} or null. {unfamiliar, note}: the
// distance as a share of the limit and a text; null where there is nothing to say.
export function familiarity(parts, mask, domain) {
  const distance = domain ? quantizationDistance(parts) : null;
  const unfamiliar = distance === null ? null : distance / domain.distance;
  const share = knownShare(parts, mask);
  let note = null;
  if (share < LEAST) note = littleKnown(share > 0, domain?.learnt);
  else if (unfamiliar > 1) note = t`this picture is unlike what the model learnt (${domain.learnt}): expect the fill to look like them`;
  return { unfamiliar, note };
}

function littleKnown(something, learnt) {
  if (something && learnt) return t`the mask leaves little of the picture to go by: the fill shows what the model learnt (${learnt})`;
  if (something) return t`the mask leaves little of the picture to go by: the fill shows what the model learnt`;
  if (learnt) return t`the mask leaves nothing of the picture to go by: the fill shows what the model learnt (${learnt})`;
  return t`the mask leaves nothing of the picture to go by: the fill shows what the model learnt`;
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
