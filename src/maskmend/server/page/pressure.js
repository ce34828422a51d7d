// How wide a stroke is where it is pressed lightly. A pen always tells; a screen that measures no pressure of fingers
// reports one number for all, mostly 0, 0.5 or 1, so that a finger counts from its second number on.

const NONE = new Set([0, 0.5, 1]);

export class Pressure {
  constructor() {
    this.on = true;
    this.fingers = new Set(); // numbers seen
  }

  // The share of the brush's size, 0.35 to 1.
  of({ pointerType, pressure }) {
    if (!this.on || !pressure) return 1;
    if (pointerType === "touch" && !this.measured(pressure)) return 1;
    if (pointerType !== "pen" && pointerType !== "touch") return 1;
    return 0.35 + 0.65 * Math.min(pressure, 1);
  }

  measured(pressure) {
    if (!NONE.has(pressure) && this.fingers.size < 2) this.fingers.add(pressure);
    return this.fingers.size > 1;
  }
}
