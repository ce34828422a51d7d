// Brush, eraser, rectangle, lasso, polygon, smart brush, hand, colour brush and dropper, moved by mouse, pen, fingers or
// keys. All four ways end in the same three calls: begin, move, end.

import { Corners } from "./corners.js";
import { Pressure } from "./pressure.js";
import { capsule, polygon, rectangle } from "./shapes.js";

export const NAMES = {
  brush: "Brush", eraser: "Eraser", rectangle: "Rectangle", lasso: "Lasso", polygon: "Polygon", smart: "Smart brush", hand: "Hand", colour: "Colour",
};
const PAINTS = new Set(["brush", "eraser", "colour"]);
const MOVES = new Set(["hand", "extend"]);

export class Tools {
  constructor(canvas, view, editor) {
    this.canvas = canvas;
    this.view = view;
    this.editor = editor;
    this.name = "brush";
    this.size = 12;
    this.most = 200;
    this.at = null; // where the tool is, in pixels of the picture
    this.stroke = null;
    this.pointers = new Map();
    this.pinch = null;
    this.pressure = new Pressure();
    this.listen();
  }

  choose(name) {
    this.give_up();
    this.name = name;
    document.body.dataset.tool = name;
    this.view.paint();
  }

  resize(size) {
    this.size = Math.min(Math.max(Math.round(size), 1), this.most);
    this.view.paint();
  }

  // Finer when small: 1, 2, 3 ... and later by tenths.
  step(direction) {
    this.resize(this.size + direction * Math.max(1, Math.round(this.size / 10)));
  }

  get outline() {
    if (!this.at || MOVES.has(this.name)) return null;
    const stroke = this.stroke;
    const paints = PAINTS.has(this.name);
    return {
      at: paints || this.keyed ? this.at : null,
      radius: paints ? this.size / 2 : 0,
      points: stroke?.corners ? [...stroke.corners.points, this.at] : stroke && this.name === "lasso" ? stroke.points : null,
      knots: stroke?.corners?.points,
      corners: stroke && this.name === "rectangle" ? [stroke.points[0], this.at] : null,
    };
  }

  begin(point, { pressure = 1, takeAway = false } = {}) {
    const mask = this.editor.mask();
    if (!mask) return;
    if (this.name === "dropper") {
      this.editor.dropper(point);
      return;
    }
    if (this.stroke?.corners) {
      if (this.stroke.corners.add(point, this.view.scale)) this.end();
      this.laid();
      return;
    }
    this.editor.touching();
    const colour = this.name === "colour" ? this.editor.colour() : null;
    const layer = colour ? colour.guide : mask;
    layer.begin();
    const value = colour ? (takeAway ? null : colour.paint) : this.name === "eraser" || takeAway ? 0 : 1;
    this.stroke = { points: [point], value, layer };
    if (PAINTS.has(this.name)) this.dab(point, point, pressure);
    if (this.name === "smart") this.flood(point);
    if (this.name === "polygon") {
      this.stroke.corners = new Corners(point);
      this.laid();
    }
    this.view.paint();
  }

  // A polygon's corners have changed.
  laid() {
    this.editor.laid(this.stroke?.corners ?? null);
    this.view.paint();
  }

  // Takes a polygon's last corner back, or closes it; false where none is being laid.
  cornerBack() {
    if (!this.stroke?.corners) return false;
    if (this.stroke.corners.back()) this.laid();
    else this.give_up();
    return true;
  }

  close() {
    if (!this.stroke?.corners) return false;
    this.end();
    return true;
  }

  // What hangs together with a point and is of its colour; once for each such place a stroke passes.
  flood(point) {
    const { layer, value } = this.stroke;
    const [x, y] = point.map(Math.floor);
    if (x < 0 || y < 0 || x >= layer.width || y >= layer.height || layer.data[y * layer.width + x] === value) return;
    layer.spans(this.editor.similar(x, y), value);
  }

  move(point, { pressure = 1 } = {}) {
    this.at = point;
    const { stroke } = this;
    if (stroke) {
      const last = stroke.points.at(-1);
      if (PAINTS.has(this.name)) this.dab(last, point, pressure);
      if (this.name === "smart") this.flood(point);
      if (!stroke.corners) stroke.points.push(point);
    }
    this.view.paint();
  }

  end() {
    const { stroke } = this;
    this.stroke = null;
    if (!stroke) return;
    if (stroke.corners) this.editor.laid(null);
    this.editor.touched(); // not at its beginning: the first finger of a pinch changes nothing
    const [first, last] = [stroke.points[0], stroke.points.at(-1)];
    if (this.name === "rectangle") stroke.layer.spans(rectangle(...first, ...last), stroke.value);
    if (this.name === "lasso") stroke.layer.spans(polygon(stroke.points), stroke.value);
    if (stroke.corners?.area) stroke.layer.spans(polygon(stroke.corners.area), stroke.value);
    this.editor.commit(NAMES[this.name], stroke.layer.end(), stroke.layer);
    this.view.paint();
  }

  give_up() {
    if (this.sliding && this.editor.release(true)) {
      this.sliding = false;
      return true;
    }
    if (!this.stroke) return false;
    this.stroke.layer.cancel();
    this.stroke = null;
    this.editor.laid(null);
    this.view.paint();
    return true;
  }

  dab(from, to, pressure) {
    this.stroke.layer.spans(capsule(...from, ...to, (this.size / 2) * pressure), this.stroke.value);
  }

  // Keys: the brush is put down and lifted by Space.
  key(dx, dy, far) {
    const { width, height } = this.view.size;
    const pace = (far ? 8 : 1) * Math.max(1, Math.round(Math.max(width, height) / 128));
    const [x, y] = this.at ?? [width / 2, height / 2];
    this.keyed = true;
    this.move([Math.min(Math.max(x + dx * pace, 0), width), Math.min(Math.max(y + dy * pace, 0), height)]);
    const [sx, sy] = this.view.toStage(...this.at);
    const { clientWidth, clientHeight } = this.canvas;
    const over = (value, most) => (value < 30 ? 30 - value : value > most - 30 ? most - 30 - value : 0);
    if (over(sx, clientWidth) || over(sy, clientHeight)) this.view.pan(over(sx, clientWidth), over(sy, clientHeight));
    return this.at.map(Math.round);
  }

  press() {
    if (MOVES.has(this.name) || !this.editor.mask()) return null;
    this.keyed = true;
    const { width, height } = this.view.size;
    this.at ??= [width / 2, height / 2];
    if (this.stroke && !this.stroke.corners) {
      this.end();
      return "up";
    }
    this.begin(this.at);
    return this.stroke && !this.stroke.corners ? "down" : null;
  }

  listen() {
    const { canvas } = this;
    // Or Chromium takes a quick stroke for a fling, although the canvas has no gestures, and the next tap for what stops it: for
    // a second no button could be pressed.
    canvas.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.drag(event));
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, (event) => this.up(event, name === "pointercancel"));
    }
    canvas.addEventListener("pointerleave", () => {
      if (!this.stroke && !this.keyed) {
        this.at = null;
        this.view.paint();
      }
    });
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  down(event) {
    if (!this.editor.mask()) return;
    this.keyed = false;
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    const place = this.place(event);
    this.pointers.set(event.pointerId, place);
    if (this.pointers.size === 2) {
      if (this.stroke?.corners) this.cornerBack(); // the first finger's
      else this.give_up();
      this.pinch = this.spread();
      return;
    }
    if (this.pointers.size > 2) return;
    const point = this.view.toImage(...place);
    if (this.editor.grab(point, this.view.scale)) this.sliding = true;
    else if (event.button === 1 || MOVES.has(this.name)) this.panning = true;
    else if (event.button === 0 || event.button === 5) { // 5: the other end of a pen
      this.at = point;
      if (this.name === "colour" && event.altKey) this.editor.dropper(point);
      else this.begin(point, { pressure: this.pressure.of(event), takeAway: event.shiftKey || event.button === 5 });
    }
    event.preventDefault();
  }

  drag(event) {
    const place = this.place(event);
    const last = this.pointers.get(event.pointerId);
    if (this.pointers.has(event.pointerId)) this.pointers.set(event.pointerId, place);
    if (this.pinch && this.pointers.size === 2) {
      const now = this.spread();
      this.view.zoom(now.length / (this.pinch.length || 1), ...now.middle);
      this.view.pan(now.middle[0] - this.pinch.middle[0], now.middle[1] - this.pinch.middle[1]);
      this.pinch = now;
      return;
    }
    if (this.panning && last) {
      this.view.pan(place[0] - last[0], place[1] - last[1]);
      return;
    }
    if (this.sliding) {
      this.editor.slide(this.view.toImage(...place));
      return;
    }
    if (!this.editor.mask()) return;
    this.keyed = false;
    // A fast hand's way between two frames, too
    const all = event.getCoalescedEvents?.() ?? [];
    for (const one of all.length ? all : [event]) this.move(this.view.toImage(...this.place(one)), { pressure: this.pressure.of(one) });
  }

  up(event, cancelled) {
    this.pointers.delete(event.pointerId);
    if (this.pointers.size < 2) this.pinch = null;
    if (this.sliding && !cancelled) this.editor.release(false);
    if (cancelled) this.give_up();
    if (this.pointers.size === 0) this.panning = this.sliding = false;
    if (!cancelled && !this.stroke?.corners) this.end();
  }

  spread() {
    const [a, b] = [...this.pointers.values()];
    return { length: Math.hypot(a[0] - b[0], a[1] - b[1]), middle: [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2] };
  }

  wheel(event) {
    if (!this.editor.mask()) return;
    event.preventDefault();
    const paints = PAINTS.has(this.name);
    if (event.ctrlKey || event.metaKey || !paints) {
      this.view.zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.002)), ...this.place(event));
    } else if (event.deltaY) {
      this.editor.sized(event.deltaY < 0 ? 1 : -1);
    }
  }
}
