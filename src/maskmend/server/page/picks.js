// The alternatives as pictures to pick from: small ones while they come, then with their likelihood.

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
    radio.setAttribute("aria-label", `Alternative ${index + 1}`);
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
      const { radio, facts } = this.cells[i];
      const percent = `${(100 * Math.exp(likelihood)).toFixed(1)} %`;
      const number = Object.assign(document.createElement("b"), { textContent: percent });
      const word = Object.assign(document.createElement("span"), { textContent: i === best ? "best" : `${likelihood.toFixed(2).replace("-", "−")} nats` });
      if (i === best) word.className = "best";
      facts.replaceChildren(number, word);
      facts.title = `log-likelihood ${likelihood.toFixed(3)} nats a token`;
      radio.setAttribute("aria-label", `Alternative ${i + 1}, likelihood ${percent}${i === best ? ", the best" : ""}`);
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

// The square around the hole in which alternatives are compared: some of what surrounds it, inside the picture.
export function around([left, top, right, bottom], { width, height }) {
  const longest = Math.max(right - left, bottom - top);
  const side = Math.min(Math.max(longest * 1.5, 32), Math.max(width, height));
  const start = (from, to, most) => (side >= most ? (most - side) / 2 : Math.min(Math.max((from + to - side) / 2, 0), most - side));
  return { left: start(left, right, width), top: start(top, bottom, height), side };
}
