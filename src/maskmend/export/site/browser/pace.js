// The time that the windows of a fill still take, from the steps done so far: the rule of `maskmend.fill.pace`, for windows
// that are decoded one after the other, all fills of each together.

// The time that a window takes in so many decoding steps, in units of a step: encoding and drawing take about six.
export const windowCost = (steps) => steps + 6;

export class Pace {
  // `steps` are those of each window, `finerSteps` those of each at the finer scales; `clock` tells milliseconds.
  constructor(steps, clock = () => performance.now(), finerSteps = 1) {
    this.steps = steps;
    this.finerShare = windowCost(finerSteps) / windowCost(steps);
    this.clock = clock;
    this.begun = clock();
  }

  // Seconds that are left after step `step` of the window `part` of `parts`, both from 1. `last` says that none of its tokens
  // is masked any more, which may be before its last step. `finer` windows at finer scales follow.
  left({ part, parts, step, last, finer = 0 }) {
    const done = part - 1 + (last ? 1 : step / this.steps);
    return ((this.clock() - this.begun) / 1000 / done) * (Math.max(0, parts - done) + finer * this.finerShare);
  }}
