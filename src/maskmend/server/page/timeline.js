// The history as a list of small pictures, from how it began to what was undone; any of them is one press away.

import { t } from "./words.js";

const SIDE = 112; // of a thumbnail, twice the size at which it is shown

export class Timeline {
  // `scene` tells what is seen now: {picture, layers}. `jump` takes how many entries to undo (below 0) or redo.
  constructor(list, history, { scene, jump }) {
    this.list = list;
    this.history = history;
    this.scene = scene;
    this.jump = jump;
    this.first = null; // how it was before the oldest entry
    this.drawn = new WeakMap(); // by entry: how it was after it
  }

  // After each change; the newest state is drawn while it is in sight, the list only where it is.
  show(busy) {
    const { past, future } = this.history;
    const scene = this.scene();
    if (!scene) return;
    const newest = past.at(-1);
    if (!newest) this.first = thumbnail(scene);
    else if (!this.drawn.has(newest)) this.drawn.set(newest, thumbnail(scene));
    if (!this.list.checkVisibility()) return;
    const focused = this.list.contains(document.activeElement);
    const begun = past.length + future.length === 0 ? t`As it is` : t`Before`;
    const entries = [{ label: begun, picture: this.first }];
    for (const entry of [...past, ...[...future].reverse()]) entries.push({ label: entry.label, picture: this.drawn.get(entry) });
    this.list.replaceChildren(...entries.map((entry, i) => this.item(entry, i - past.length, busy)));
    const current = this.list.querySelector("[aria-current]");
    if (focused) current.focus({ preventScroll: true });
    const { offsetTop: top, offsetLeft: left } = current.parentElement; // of the list: whatever it lies in stays where it is
    this.list.scrollTo({ top: top - this.list.clientHeight / 2, left: left - this.list.clientWidth / 2 });
  }

  item({ label, picture }, steps, busy) {
    const button = Object.assign(document.createElement("button"), { type: "button", disabled: busy });
    if (steps === 0) button.setAttribute("aria-current", "step");
    if (steps > 0) button.className = "undone";
    const canvas = picture ?? Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
    button.append(canvas, Object.assign(document.createElement("span"), { textContent: label }));
    button.addEventListener("click", () => { if (steps) this.jump(steps); });
    const item = document.createElement("li");
    item.append(button);
    return item;
  }
}

function thumbnail({ picture, layers }) {
  const canvas = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
  const context = canvas.getContext("2d");
  const scale = SIDE / Math.max(picture.width, picture.height);
  const [wide, high] = [picture.width * scale, picture.height * scale];
  context.imageSmoothingQuality = "high";
  for (const layer of [picture, ...layers]) context.drawImage(layer, (SIDE - wide) / 2, (SIDE - high) / 2, wide, high);
  return canvas;
}
