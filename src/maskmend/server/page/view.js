// What the stage shows: the picture under a zoom, the mask, a fill as it comes, uncertainty, before and after, and
// the tool at hand.

export const MOST_ZOOM = 8;

export class View {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.scale = 1;
    this.x = 0;
    this.y = 0;
    this.size = { width: 0, height: 0 };
    this.scene = null;
    this.fitted = true;
    this.below = 0; // pixels of the stage that its lower edge gives to the dock, or to what lies over it
    this.pending = false;
    this.moved = () => {};
    new ResizeObserver(() => this.resize()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  resize() {
    const ratio = devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    if (this.fitted) this.fit();
    else this.paint();
  }

  // `scene` is a function that says what is to be seen now.
  of(size, scene) {
    this.size = size;
    this.scene = scene;
    this.fit();
  }

  get fitScale() {
    const { clientWidth, clientHeight } = this.canvas;
    const around = Math.min(clientWidth, clientHeight) > 480 ? [48, 76] : [8, 8]; // a phone has none to give away
    const room = [around[0], around[1] + this.below];
    const scale = Math.min((clientWidth - room[0]) / this.size.width, (clientHeight - room[1]) / this.size.height);
    return Math.min(Math.max(scale >= 2 ? Math.floor(scale) : scale, 0.005), MOST_ZOOM);
  }

  fit() {
    if (!this.size.width) return;
    this.scale = this.fitScale;
    this.x = (this.canvas.clientWidth - this.size.width * this.scale) / 2;
    this.y = (this.canvas.clientHeight - this.below - this.size.height * this.scale) / 2;
    this.fitted = true;
    this.paint();
  }

  // Something else lies over the lower edge: a picture that was fitted is fitted above it.
  cover(below) {
    if (below === this.below) return;
    this.below = below;
    if (this.fitted) this.fit();
  }

  zoom(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    const least = Math.min(this.fitScale / 2, 1);
    const scale = Math.min(Math.max(this.scale * factor, least), MOST_ZOOM);
    this.x = x - ((x - this.x) * scale) / this.scale;
    this.y = y - ((y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.pan(0, 0);
  }

  pan(dx, dy) {
    const { clientWidth, clientHeight } = this.canvas;
    const keep = 40; // so many pixels of the picture stay in sight
    this.x = Math.min(Math.max(this.x + dx, keep - this.size.width * this.scale), clientWidth - keep);
    this.y = Math.min(Math.max(this.y + dy, keep - this.size.height * this.scale), clientHeight - keep);
    this.fitted = false;
    this.paint();
  }

  toImage(x, y) {
    return [(x - this.x) / this.scale, (y - this.y) / this.scale];
  }

  toStage(x, y) {
    return [this.x + x * this.scale, this.y + y * this.scale];
  }

  // Draws with the next frame, once for however many asked.
  paint() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.draw();
      this.moved();
    });
  }

  draw() {
    const { context, canvas } = this;
    const ratio = canvas.width / (canvas.clientWidth || 1);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!this.scene || !this.size.width) return;
    const scene = this.scene();
    const { width, height } = this.size;
    context.setTransform(ratio * this.scale, 0, 0, ratio * this.scale, ratio * this.x, ratio * this.y);
    context.imageSmoothingEnabled = this.scale < 2;
    context.imageSmoothingQuality = "high";
    if (scene.transparent) this.checkerboard(width, height);
    context.drawImage(scene.picture, 0, 0);
    if (scene.uncertainty) context.drawImage(scene.uncertainty, 0, 0);
    if (scene.mask) context.drawImage(scene.mask, 0, 0);
    if (scene.edge) context.drawImage(scene.edge.canvas, scene.edge.left, scene.edge.top);
    if (scene.guide) context.drawImage(scene.guide, 0, 0);
    scene.live.forEach((part) => this.live(part));
    if (scene.before) this.before(scene.before, scene.divider, width, height);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    scene.frame?.(context);
    if (scene.tool) this.tool(scene.tool);
  }

  checkerboard(width, height) {
    const { context } = this;
    const cell = 8 / this.scale;
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, height);
    const pattern = context.createPattern(squares(), "repeat");
    pattern.setTransform(new DOMMatrix().scale(cell / 8));
    context.fillStyle = pattern;
    context.fillRect(0, 0, width, height);
  }

  // A fill under way: its picture inside the hole, over the mask, and a veil over tokens that are not settled.
  live({ patch, box, hidden, clip }) {
    const { context } = this;
    context.drawImage(clip(patch, box), box.left, box.top, box.width, box.height);
    if (!hidden) return;
    const wide = box.width / hidden[0].length;
    const high = box.height / hidden.length;
    context.fillStyle = "rgb(229 40 72 / .38)";
    hidden.forEach((row, i) => {
      for (let j = 0; j < row.length; j++) {
        if (row[j] === "1") context.fillRect(box.left + (j + 0.1) * wide, box.top + (i + 0.1) * high, wide * 0.8, high * 0.8);
      }
    });
  }

  before(picture, divider, width, height) {
    const { context } = this;
    const x = width * divider;
    context.save();
    context.beginPath();
    context.rect(0, 0, x, height);
    context.clip();
    context.drawImage(picture, 0, 0);
    context.restore();
    const px = 1 / this.scale;
    context.fillStyle = "#202024";
    context.fillRect(x - 2 * px, 0, 4 * px, height);
    context.fillStyle = "#fff";
    context.fillRect(x - px, 0, 2 * px, height);
    context.beginPath();
    context.arc(x, height / 2, 13 * px, 0, 7);
    context.fill();
    context.lineWidth = px;
    context.strokeStyle = "#202024";
    context.stroke();
    context.beginPath();
    for (const side of [-1, 1]) {
      context.moveTo(x + side * 3 * px, height / 2 - 4 * px);
      context.lineTo(x + side * 7 * px, height / 2);
      context.lineTo(x + side * 3 * px, height / 2 + 4 * px);
    }
    context.lineWidth = 1.6 * px;
    context.stroke();
  }

  // Outlines in black and white, so that they are seen on any picture.
  tool({ at, radius, points, corners, knots }) {
    const { context } = this;
    const path = new Path2D();
    if (points) points.forEach(([x, y], i) => path[i ? "lineTo" : "moveTo"](...this.toStage(x, y)));
    if (corners) {
      const [a, b] = corners.map(([x, y]) => this.toStage(x, y));
      path.rect(Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.abs(a[0] - b[0]), Math.abs(a[1] - b[1]));
    }
    for (const [x, y] of knots ?? []) {
      const [left, top] = this.toStage(x, y);
      path.rect(left - 4, top - 4, 8, 8);
    }
    if (at) {
      const [x, y] = this.toStage(...at);
      if (radius) path.arc(x, y, Math.max(radius * this.scale, 2), 0, 7);
      else for (const [dx, dy] of [[7, 0], [0, 7]]) { path.moveTo(x - dx, y - dy); path.lineTo(x + dx, y + dy); }
    }
    for (const [style, width] of [["#202024", 3], ["#fff", 1.5]]) {
      context.strokeStyle = style;
      context.lineWidth = width;
      context.stroke(path);
    }
  }
}

let board;

function squares() {
  if (board) return board;
  board = new OffscreenCanvas(16, 16);
  const context = board.getContext("2d");
  context.fillStyle = "#ddd";
  context.fillRect(0, 0, 8, 8);
  context.fillRect(8, 8, 8, 8);
  return board;
}
