// The alternatives as pictures to pick from: small ones while they come, then with how likely each is.

import { inFigures, inWords } from "./likelihood.js";
import { t } from "./words.js";

export class Picks {
  constructor(group, picked) {
    this.group = group;
    this.picked = picked;
    this.cells = [];
  }

  // Empty places for `count` alternatives.
  begin(count) {
    this.cells = Array.from({ length: count }, (_, i) => this.cell(i));
    this.group.replaceChildren(...this.cells.map(({ label }) => label));
  }

  cell(index) {
    const label = document.createElement("label");
    label.className = "pick";
    const radio = Object.assign(document.createElement("input"), { type: "radio", name: "pick", value: index, disabled: true });
    radio.setAttribute("aria-label", t`Alternative ${index + 1}`);
    radio.addEventListener("change", () => this.picked(index));
    const canvas = Object.assign(document.createElement("canvas"), { width: 280, height: 280 });
    const facts = Object.assign(document.createElement("span"), { className: "facts" });
    label.append(radio, canvas, facts);
    return { label, radio, canvas, facts };
  }

  // Draws the square `part` of `picture`, and each patch of `over` laid into its box.
  show(index, picture, part, over = []) {
    const { canvas } = this.cells[index];
    const context = canvas.getContext("2d");
    const scale = canvas.width / part.side;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.setTransform(scale, 0, 0, scale, -part.left * scale, -part.top * scale);
    context.imageSmoothingEnabled = scale < 2;
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, 0, 0);
    for (const [patch, box] of over) context.drawImage(patch, box.left, box.top, box.width, box.height);
  }

  facts(fills, best) {
    fills.forEach(({ likelihood }, i) => {
      const { label, radio, facts } = this.cells[i];
      const words = i === best ? t`best` : inWords(likelihood, fills[best].likelihood);
      facts.replaceChildren(Object.assign(document.createElement(i === best ? "span" : "b"), { textContent: words }));
      facts.firstChild.classList.toggle("best", i === best);
      label.title = t`Likelihood: ${inFigures(likelihood)}`;
      radio.setAttribute("aria-label", t`Alternative ${i + 1}, ${i === best ? t`the best` : words}`);
      radio.disabled = false;
    });
  }

  check(index) {
    this.cells[index].radio.checked = true;
  }

  focus(index) {
    this.cells[index].radio.focus({ preventScroll: true });
  }
}

const SHARE = 0.05; // of the square, which the hole has to cover
const LEAST = 48; // pixels of its side

// The square in which alternatives are compared: the hole with some of its surroundings. Of a hole that is thin or
// scattered, such as a scratch across the picture, the part where there is most of it: in a square around all of it
// nobody sees what differs.
export function around(mask) {
  const [left, top, right, bottom] = mask.bounds();
  const longest = Math.max(right - left, bottom - top);
  const whole = Math.min(Math.max(longest * 1.5, 32), Math.max(mask.width, mask.height));
  if (mask.count >= SHARE * whole * whole || whole <= LEAST) {
    return square(mask, (left + right) / 2, (top + bottom) / 2, whole);
  }
  const sums = new Sums(mask);
  let side = whole;
  let best;
  do {
    side = Math.max(side * 0.8, LEAST);
    best = sums.densest(side);
  } while (side > LEAST && best.count < SHARE * side * side);
  return square(mask, best.x, best.y, side);
}

// A square of `side` around a point, inside the picture where it fits.
function square({ width, height }, x, y, side) {
  const start = (middle, most) => (side >= most ? (most - side) / 2 : Math.min(Math.max(middle - side / 2, 0), most - side));
  return { left: start(x, width), top: start(y, height), side };
}

// How many pixels of a mask lie in any rectangle of cells, which are large enough to be few.
class Sums {
  constructor({ data, width, height }) {
    this.cell = Math.max(1, Math.ceil(Math.max(width, height) / 128));
    this.wide = Math.ceil(width / this.cell);
    this.high = Math.ceil(height / this.cell);
    const stride = this.wide + 1;
    this.sums = new Float64Array(stride * (this.high + 1));
    for (let row = 0; row < height; row++) {
      const to = (Math.floor(row / this.cell) + 1) * stride + 1;
      for (let column = 0; column < width; column++) {
        if (data[row * width + column]) this.sums[to + Math.floor(column / this.cell)]++;
      }
    }
    for (let y = 1; y <= this.high; y++) {
      for (let x = 1; x <= this.wide; x++) {
        const i = y * stride + x;
        this.sums[i] += this.sums[i - 1] + this.sums[i - stride] - this.sums[i - stride - 1];
      }
    }
  }

  // The square with most of the hole: its middle, and how many of its pixels are in it.
  densest(side) {
    const stride = this.wide + 1;
    const [wide, high] = [this.wide, this.high].map((most) => Math.min(Math.max(1, Math.round(side / this.cell)), most));
    let best = { count: -1 };
    for (let y = 0; y + high <= this.high; y++) {
      for (let x = 0; x + wide <= this.wide; x++) {
        const i = y * stride + x;
        const j = i + high * stride;
        const count = this.sums[j + wide] - this.sums[j] - this.sums[i + wide] + this.sums[i];
        if (count > best.count) best = { count, x: (x + wide / 2) * this.cell, y: (y + high / 2) * this.cell };
      }
    }
    return best;
  }
}
