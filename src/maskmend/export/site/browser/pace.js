// The time that the windows of a fill still take, from the steps done so far: the rule of `maskmend.fill.pace`, for windows
// that are decoded one after the other, all fills of each together.

export class Pace {
  // `steps` are those of each window; `clock` tells milliseconds.
  constructor(steps, clock = () => performance.now()) {
    this.steps = steps;
    this.clock = clock;
    this.begun = clock();
  }

  // Seconds that are left after step `step` of the window `part` of `parts`, both from 1. `last` says that none of its tokens
  // is masked any more, which may be before its last step.
  left({ part, parts, step, last }) {
    const done = (part - 1 + (last ? 1 : step / this.steps)) / parts;
    return ((this.clock() - this.begun) / 1000 / done) * Math.max(0, 1 - done);
  }
}
