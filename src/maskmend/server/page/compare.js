// The alternatives, and the picture before, side by side over the whole screen. All of them are zoomed and moved together.

import { t } from "./words.js";

const MOST = 24; // screen pixels to one of the picture

export class Comparison {
  constructor(dialog, { picked }) {
    this.dialog = dialog;
    this.group = dialog.querySelector("#panes");
    this.picked = picked;
    this.panes = [];
    this.pointers = new Map();
    this.whole = false;
    dialog.querySelector("#compare-near").addEventListener("click", () => this.near());
    dialog.querySelector("#compare-fit").addEventListener("click", () => this.fit());
    dialog.addEventListener("keydown", (event) => { if (this.key(event)) event.preventDefault(); });
    dialog.addEventListener("close", () => this.closed());
    document.addEventListener("fullscreenchange", () => { if (!document.fullscreenElement && dialog.open) dialog.close(); });
    this.observer = new ResizeObserver(() => this.arrange());
    this.observer.observe(this.group);
  }

  // `views` are {picture, name, index}, index null for the picture before; `part` the square around the hole.
  async open(views, part, chosen) {
    this.part = part;
    this.group.replaceChildren();
    this.panes = views.map((view) => this.pane(view, view.index === chosen));
    this.group.append(...this.panes.map(({ figure }) => figure));
    this.dialog.showModal();
    this.arrange();
    this.near();
    this.panes.find(({ view }) => view.index === chosen)?.button.focus({ preventScroll: true });
    try {
      await document.documentElement.requestFullscreen?.({ navigationUI: "hide" });
    } catch {
      // where it is not allowed, the window has to do
    }
    if (!this.dialog.open) this.closed(); // meanwhile
  }

  closed() {
    if (document.fullscreenElement) document.exitFullscreen().catch(() => {}); // it may have been left just now
    this.panes = [];
    this.pointers.clear(); // one that is still down is let go of where nobody hears it
    this.group.replaceChildren();
  }

  pane(view, chosen) {
    const figure = Object.assign(document.createElement("figure"), { className: "pane" });
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", view.name);
    const caption = document.createElement("figcaption");
    caption.append(Object.assign(document.createElement("span"), { textContent: view.name }));
    let button = null;
    if (view.index !== null) {
      button = Object.assign(document.createElement("button"), { type: "button", className: "small", textContent: t`Take it` });
      button.setAttribute("aria-label", t`Take it: ${view.name}`);
      button.addEventListener("click", () => this.take(view.index));
      caption.append(button);
    }
    if (chosen) figure.setAttribute("aria-current", "true");
    figure.append(canvas, caption);
    this.listen(canvas);
    return { view, figure, canvas, button };
  }

  take(index) {
    this.dialog.close();
    this.picked(index);
  }

  // As many columns as make the panes largest.
  arrange() {
    if (!this.panes.length) return;
    const { clientWidth: wide, clientHeight: high } = this.group;
    const { width, height } = this.panes[0].view.picture;
    const shape = this.whole ? width / height : 1;
    let best = { size: 0 };
    for (let columns = 1; columns <= this.panes.length; columns++) {
      const rows = Math.ceil(this.panes.length / columns);
      const size = Math.min(wide / columns / shape, high / rows - 44);
      if (size > best.size) best = { size, columns };
    }
    this.group.dataset.columns = best.columns ?? 1;
    const ratio = devicePixelRatio || 1;
    for (const { canvas } of this.panes) {
      canvas.width = Math.round(canvas.clientWidth * ratio);
      canvas.height = Math.round(canvas.clientHeight * ratio);
    }
    if (this.frame) this.show(this.frame);
    else this.draw();
  }

  near() {
    const { left, top, side } = this.part;
    this.whole = false;
    this.show({ left, top, width: side, height: side });
  }

  fit() {
    const { width, height } = this.panes[0].view.picture;
    this.whole = true;
    this.show({ left: 0, top: 0, width, height });
  }

  // A rectangle of the picture, as large as fits into a pane.
  show(frame) {
    this.frame = frame;
    const { clientWidth, clientHeight } = this.panes[0].canvas;
    this.scale = Math.max(Math.min(clientWidth / frame.width, clientHeight / frame.height, MOST), 0.01);
    this.x = clientWidth / 2 - (frame.left + frame.width / 2) * this.scale;
    this.y = clientHeight / 2 - (frame.top + frame.height / 2) * this.scale;
    this.draw();
  }

  zoom(factor, x = this.panes[0].canvas.clientWidth / 2, y = this.panes[0].canvas.clientHeight / 2) {
    const scale = Math.min(Math.max(this.scale * factor, 0.01), MOST);
    this.x = x - ((x - this.x) * scale) / this.scale;
    this.y = y - ((y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.frame = null;
    this.draw();
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.frame = null;
    this.draw();
  }

  draw() {
    const ratio = devicePixelRatio || 1;
    for (const { canvas, view } of this.panes) {
      const context = canvas.getContext("2d");
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, canvas.width, canvas.height);
      context.setTransform(ratio * this.scale, 0, 0, ratio * this.scale, ratio * this.x, ratio * this.y);
      context.imageSmoothingEnabled = this.scale < 2;
      context.imageSmoothingQuality = "high";
      context.drawImage(view.picture, 0, 0);
    }
  }

  listen(canvas) {
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    const spread = () => {
      const [a, b] = [...this.pointers.values()];
      return { length: Math.hypot(a[0] - b[0], a[1] - b[1]), middle: [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2] };
    };
    canvas.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false }); // as in tools.js
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, place(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      const last = this.pointers.get(event.pointerId);
      if (!last) return;
      const before = this.pointers.size === 2 ? spread() : null;
      const now = place(event);
      this.pointers.set(event.pointerId, now);
      if (before) {
        const after = spread();
        this.zoom(after.length / (before.length || 1), ...after.middle);
        this.pan(after.middle[0] - before.middle[0], after.middle[1] - before.middle[1]);
      } else {
        this.pan(now[0] - last[0], now[1] - last[1]);
      }
    });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.pointers.delete(event.pointerId));
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * 0.002), ...place(event));
    }, { passive: false });
  }

  key({ key, ctrlKey, metaKey, altKey }) {
    if (ctrlKey || metaKey || altKey) return false;
    const arrow = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[key];
    if (arrow) this.pan(48 * arrow[0], 48 * arrow[1]);
    else if (key === "+" || key === "=") this.zoom(1.25);
    else if (key === "-") this.zoom(0.8);
    else if (key === "0") this.fit();
    else if (/^[1-9]$/.test(key) && this.panes.some(({ view }) => view.index === key - 1)) this.take(key - 1);
    else return false;
    return true;
  }
}
