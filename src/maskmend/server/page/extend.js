// New canvas beside the picture, to be filled: by dragging its borders, or by typing sizes.
//
// While it is extended, the picture the page works on has the canvas' size, and its mask is open all over the new
// canvas: everything else goes on as with any hole. What is sent is the file as it was, the mask of its own part, and how
// far it is to be extended, so that the server keeps its pixels and whatever else the file holds.

import { guideOf } from "./guide.js";
import { Mask } from "./mask.js";
import { t } from "./words.js";

export const SIDES = ["left", "right", "top", "bottom"];
const LONGEST = 32_767; // pixels of a side: browsers' canvases hold no more
const NOTHING = { left: 0, right: 0, top: 0, bottom: 0 };

// `source` with margins, in pixels of it; it stays at hand as `base`.
export function extended(source, margins) {
  const width = source.width + margins.left + margins.right;
  const height = source.height + margins.top + margins.bottom;
  const bitmap = new OffscreenCanvas(width, height);
  bitmap.getContext("2d").drawImage(source.bitmap, margins.left, margins.top);
  return { ...source, bitmap, width, height, transparent: true, base: source, margins };
}

// The mask of a picture that is extended: open outside it, whatever is painted there.
export class ExtendedMask extends Mask {
  constructor(source) {
    super(source.width, source.height);
    this.inside = { left: source.margins.left, top: source.margins.top, ...sizeOf(source.base) };
    this.data.fill(1);
  }

  spans(shape, value) {
    const { left, top, width, height } = this.inside;
    const inner = function* inner() {
      for (const [row, first, after] of shape) {
        if (row >= top && row < top + height) yield [row, Math.max(first, left), Math.min(after, left + width)];
      }
    };
    super.spans(inner(), value);
  }

  whole(change) {
    const { left, top, width, height } = this.inside;
    super.whole((value, i) => {
      const [row, column] = [Math.floor(i / this.width) - top, (i % this.width) - left];
      return row >= 0 && row < height && column >= 0 && column < width ? change(value, i) : 1;
    });
  }
}

function sizeOf({ width, height }) {
  return { width, height };
}

// `mask` for `source`, which has other margins than the picture that it was painted on; colours come along.
export function moved(mask, source) {
  const next = source.base ? new ExtendedMask(source) : new Mask(source.width, source.height);
  const from = mask.inside ?? { left: 0, top: 0 };
  const to = next.inside ?? { left: 0, top: 0, ...sizeOf(source) };
  for (let row = 0; row < to.height; row++) {
    const start = (row + from.top) * mask.width + from.left;
    next.data.set(mask.data.subarray(start, start + to.width), (row + to.top) * next.width + to.left);
  }
  next.recount();
  next.show([0, 0, next.width, next.height]);
  guideOf(next).take(guideOf(mask), to.left - from.left, to.top - from.top);
  guideOf(next).clip([0, 0, next.width, next.height]);
  return next;
}

// What is sent of a mask: a PNG of the file's own part, or null where only new canvas is to be filled.
export async function sent(mask) {
  if (!mask.inside) return mask.png();
  const { left, top, width, height } = mask.inside;
  const part = new Mask(width, height);
  for (let row = 0; row < height; row++) {
    const start = (row + top) * mask.width + left;
    part.data.set(mask.data.subarray(start, start + width), row * width);
  }
  part.recount();
  return part.count ? part.png() : null;
}

// The API's parameter.
export function written(margins) {
  return SIDES.filter((side) => margins[side]).map((side) => `${side}=${margins[side]}`).join(",");
}

// The borders as handles on the stage, and the form in which their distances are typed.
export class Borders {
  constructor(form, view, { source, most, changed, refused }) {
    this.form = form;
    this.view = view;
    this.source = source;
    this.most = most;
    this.changed = changed;
    this.refused = refused;
    this.held = null; // sides that are being dragged
    this.live = null; // margins while they are
    form.addEventListener("change", () => this.typed());
    form.addEventListener("submit", (event) => { event.preventDefault(); this.typed(); });
    form.addEventListener("reset", () => this.settle(NOTHING));
  }

  get margins() {
    return this.source()?.margins ?? NOTHING;
  }

  // The borders within reach of a point of the picture; at a corner two.
  near([x, y], scale) {
    const { width, height } = this.source();
    const reach = 22 / scale;
    const apart = { left: Math.abs(x), right: Math.abs(x - width), top: Math.abs(y), bottom: Math.abs(y - height) };
    const along = { left: y, right: y, top: x, bottom: x };
    const length = { left: height, right: height, top: width, bottom: width };
    return SIDES.filter((side) => apart[side] <= reach && along[side] >= -reach && along[side] <= length[side] + reach);
  }

  grab(point, scale) {
    const sides = this.near(point, scale);
    if (!sides.length) return false;
    this.held = { sides, margins: this.margins };
    this.live = { ...this.margins };
    return true;
  }

  drag([x, y]) {
    const { sides, margins } = this.held;
    const { width, height } = this.source();
    const out = { left: -x, right: x - width, top: -y, bottom: y - height };
    for (const side of sides) this.live[side] = Math.max(0, Math.round(margins[side] + out[side]));
    this.show(this.live);
    this.view.paint();
  }

  release() {
    if (!this.held) return;
    const { live } = this;
    this.held = this.live = null;
    this.settle(live);
  }

  // Gives a drag up.
  cancel() {
    if (!this.held) return false;
    this.held = this.live = null;
    this.show(this.margins);
    this.view.paint();
    return true;
  }

  typed() {
    const base = this.source().base ?? this.source();
    const margins = {};
    for (const side of SIDES) {
      const text = this.form.elements.namedItem(side).value.trim() || "0";
      const [, number, percent] = /^(\d{1,5}(?:[.,]\d{1,3})?)\s*(%|px)?$/.exec(text) ?? [];
      if (number === undefined) {
        this.refuse(t`${text} is no length: write pixels or percent, such as 200 or 10%.`);
        return;
      }
      const across = side === "left" || side === "right" ? base.width : base.height;
      margins[side] = Math.round(Number(number.replace(",", ".")) * (percent === "%" ? across / 100 : 1));
    }
    this.settle(margins);
  }

  settle(margins) {
    if (!this.source()) return;
    if (SIDES.every((side) => margins[side] === this.margins[side])) {
      this.show(margins);
      this.view.paint();
      return;
    }
    const base = this.source().base ?? this.source();
    const [wide, high] = [base.width + margins.left + margins.right, base.height + margins.top + margins.bottom];
    const [would, may] = [wide * high, this.most()].map((count) => `${(count / 1e6).toFixed(1)} Mpx`);
    if (wide * high > this.most()) this.refuse(t`The picture would have ${would}, the limit is ${may}. Extend it less.`);
    else if (Math.max(wide, high) > LONGEST) this.refuse(t`A side would have more than ${LONGEST} pixels. Extend it less.`);
    else this.changed(margins);
  }

  refuse(text) {
    this.show(this.margins);
    this.view.paint();
    this.refused(text);
  }

  show(margins) {
    for (const side of SIDES) this.form.elements.namedItem(side).value = margins[side];
  }

  // Draws the picture's own border where it is extended and not yet filled, for the seam is to be seen then, and handles
  // where they can be dragged; in pixels of the stage.
  draw(context, active, inside) {
    const source = this.source();
    if (!source || (!active && !source.margins)) return;
    const own = source.margins ?? NOTHING;
    const margins = this.live ?? own;
    const corner = (x, y) => this.view.toStage(x, y);
    const inner = [corner(own.left, own.top), corner(source.width - own.right, source.height - own.bottom)];
    const outer = [
      corner(own.left - margins.left, own.top - margins.top),
      corner(source.width - own.right + margins.right, source.height - own.bottom + margins.bottom),
    ];
    context.setLineDash([6, 5]);
    if (source.margins && inside) frame(context, inner);
    context.setLineDash([]);
    if (!active) return;
    frame(context, outer);
    const [[left, top], [right, bottom]] = outer;
    const [x, y] = [(left + right) / 2, (top + bottom) / 2];
    const grips = [[left, y, 7, 44], [right, y, 7, 44], [x, top, 44, 7], [x, bottom, 44, 7],
      ...[left, right].flatMap((a) => [top, bottom].map((b) => [a, b, 14, 14]))];
    for (const [at, height, wide, high] of grips) {
      const path = new Path2D();
      path.roundRect(at - wide / 2, height - high / 2, wide, high, 4);
      context.fillStyle = "#fff";
      context.fill(path);
      context.strokeStyle = "#202024";
      context.lineWidth = 1.5;
      context.stroke(path);
    }
  }
}

function frame(context, [[left, top], [right, bottom]]) {
  for (const [style, width] of [["#202024", 3], ["#fff", 1.5]]) {
    context.strokeStyle = style;
    context.lineWidth = width;
    context.strokeRect(left, top, right - left, bottom - top);
  }
}
