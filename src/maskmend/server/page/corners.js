// The polygon that is being laid corner by corner. It is closed at its first corner, by a second click at the last one, by
// Enter or by a button; fingers have no double click that is worth it.

const REACH = 12; // pixels of the screen within which a click counts as on a corner

export class Corners {
  constructor(first) {
    this.points = [first];
  }

  // Whether a further click closes it rather than adding a corner.
  add(point, scale) {
    const on = ([x, y]) => Math.hypot(x - point[0], y - point[1]) * scale < REACH;
    if (this.points.length > 2 && (on(this.points[0]) || on(this.points.at(-1)))) return true;
    if (!on(this.points.at(-1))) this.points.push(point);
    return false;
  }

  // Takes the last corner back; false where none is left.
  back() {
    this.points.pop();
    return this.points.length > 0;
  }

  get area() {
    return this.points.length > 2 ? this.points : null;
  }
}
