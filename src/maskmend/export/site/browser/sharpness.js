// The note on a fill below the picture's own resolution (`maskmend.fill.sharpness`).

import { boxesByPart, cellCount, coarseScale, planLevels } from "./levels.js";
import { windowCost } from "./pace.js";
import { t } from "./texts.js";

// A text; null where no finer scale was left out of `levels`.
export function softness(mask, windows, levels, resolution, { steps, detail_steps: finerSteps }) {
  const every = planLevels(mask, windows, resolution, "full");
  const left = cellCount(every) - cellCount(levels);
  if (left <= 0) return null;
  const reached = [];
  for (const { boxes, bounds } of boxesByPart(windows)) {
    const [done, possible] = [levels, every].map((some) => some.filter(({ box }) => same(box, bounds)).map(({ scale }) => scale));
    if (done.length < possible.length) reached.push(done.length ? Math.min(...done) : coarseScale(boxes, resolution));
  }
  const each = windowCost(finerSteps);
  const spent = windows.length * windowCost(steps) + cellCount(levels) * each;
  const [scale, times] = [Math.max(...reached), 1 + (left * each) / spent].map((value) => Number(value.toPrecision(2)));
  return t`the fill has 1/${scale} of the picture's resolution in places: detail=full goes up to all of it and takes about ${times} times as long`;
}

function same(one, two) {
  return ["top", "left", "height", "width"].every((name) => one[name] === two[name]);
}
