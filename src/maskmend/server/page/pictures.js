// The strip of the pictures that are open: each with its mask, its fills and what was accepted, so that opening another
// loses nothing.

import { t } from "./words.js";

const SIDE = 96; // of a thumbnail, twice the size at which it is shown

export class Pictures {
  constructor(card, chosen, closed) {
    this.card = card;
    this.list = card.querySelector("ul");
    this.chosen = chosen;
    this.closed = closed;
    this.all = [];
    this.current = null;
  }

  // `picture` is {first, source, mask, results, unsaved}, as it was left.
  add(picture, at = this.all.length) {
    this.all.splice(at, 0, picture);
  }

  // Where it was.
  remove(picture) {
    const at = this.all.indexOf(picture);
    this.all.splice(at, 1);
    return at;
  }

  // Whether there is work in those that are not in sight.
  get unsaved() {
    return this.all.some((picture) => picture !== this.current && picture.unsaved);
  }

  show() {
    this.card.hidden = this.all.length < 2;
    if (this.card.hidden) return;
    const focused = this.list.contains(document.activeElement);
    this.list.replaceChildren(...this.all.map((picture) => this.item(picture)));
    const current = this.list.querySelector("[aria-current]");
    if (focused) current.focus({ preventScroll: true });
    if (!current) return;
    const [list, item] = [this.list, current].map((one) => one.getBoundingClientRect());
    this.list.scrollLeft += (item.left + item.right - list.left - list.right) / 2; // in the middle, where it can be
  }

  item(picture) {
    const item = document.createElement("li");
    const open = Object.assign(document.createElement("button"), { type: "button", className: "picture", title: picture.source.name });
    open.setAttribute("aria-label", picture.source.name);
    if (picture === this.current) open.setAttribute("aria-current", "true");
    open.append(thumbnail(picture));
    open.addEventListener("click", () => { if (picture !== this.current) this.chosen(picture); });
    item.append(open);
    if (picture !== this.current) {
      const close = Object.assign(document.createElement("button"), { type: "button", className: "close", textContent: "×", title: t`Close` });
      close.setAttribute("aria-label", t`Close ${picture.source.name}`);
      close.addEventListener("click", () => this.closed(picture));
      item.append(close);
    }
    return item;
  }
}

const drawn = new WeakMap();

function thumbnail({ source, results }) {
  const bitmap = results ? results.fills[results.pick].bitmap : source.bitmap;
  if (drawn.has(bitmap)) return drawn.get(bitmap);
  const canvas = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
  const side = Math.min(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, (bitmap.width - side) / 2, (bitmap.height - side) / 2, side, side, 0, 0, SIDE, SIDE);
  drawn.set(bitmap, canvas);
  return canvas;
}
