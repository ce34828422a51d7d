// The controls of the colour brush: which colour, whether it rubs out, how far the model follows, and the colours used
// last. Colours can be taken from the picture.

import { t } from "./words.js";

const FEW = 6;

export class Colours {
  constructor(card, { chosen, cleared }) {
    const find = (id) => card.querySelector(`#${id}`);
    this.card = card;
    this.input = find("colour");
    this.rub = find("rub");
    this.strengthInput = find("strength");
    this.swatches = find("swatches");
    this.clearing = find("colours-clear");
    this.chosen = chosen;
    this.recent = [];
    this.input.addEventListener("change", () => this.choose(this.input.value));
    this.strengthInput.addEventListener("input", () => this.told());
    this.clearing.addEventListener("click", cleared);
    this.told();
  }

  // What the brush paints: a colour, or null where it rubs out.
  get paint() {
    return this.rub.checked ? null : this.input.value;
  }

  get strength() {
    return Number(this.strengthInput.value) / 100;
  }

  choose(colour) {
    this.input.value = colour;
    this.rub.checked = false;
    this.chosen(colour);
  }

  // A colour that was painted is kept at hand.
  used() {
    if (this.rub.checked) return;
    const { value } = this.input;
    if (this.recent[0] === value) return;
    this.recent = [value, ...this.recent.filter((one) => one !== value)].slice(0, FEW);
    this.swatches.replaceChildren(...this.recent.map((colour) => {
      const button = Object.assign(document.createElement("button"), { type: "button", title: colour });
      button.setAttribute("aria-label", t`Colour ${colour}`);
      button.append(chip(colour)); // drawn: the page's security policy takes no style attributes
      button.addEventListener("click", () => this.choose(colour));
      return button;
    }));
  }

  told() {
    this.card.querySelector("output[for=strength]").value = `${this.strengthInput.value} %`;
  }
}

function chip(colour) {
  const canvas = Object.assign(document.createElement("canvas"), { width: 24, height: 24 });
  const context = canvas.getContext("2d");
  context.fillStyle = colour;
  context.fillRect(0, 0, 24, 24);
  return canvas;
}

// The colour of a picture's pixel as #rrggbb.
export function colourOf(picture, x, y) {
  const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, -x, -y);
  return hex(context.getImageData(0, 0, 1, 1).data);
}

export function hex(levels) {
  return `#${[...levels].slice(0, 3).map((level) => level.toString(16).padStart(2, "0")).join("")}`;
}
