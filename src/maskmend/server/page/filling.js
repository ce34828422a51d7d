// One fill, from the request to four alternatives: follows the stream of events and keeps what is needed to show it.

import { fill } from "./api.js";
import { sent } from "./extend.js";
import { t } from "./words.js";

// The entropy's colours, from sure to guessed.
const RAMP = [[30, 30, 110], [120, 40, 140], [225, 90, 80], [250, 200, 60]];
const MOMENT = 2; // seconds: of what takes no longer, the time left is not told

export async function* follow(source, mask, parameters, signal) {
  const fills = [];
  for await (const [name, data] of fill(source.blob, await sent(mask), parameters, signal)) {
    if (name === "step") {
      const patches = await Promise.all(data.fills.map(({ image }) => createImageBitmap(image)));
      yield { kind: "step", ...data, patches };
    } else if (name === "fill") {
      const { seed, log_likelihood: likelihood, image: blob } = data;
      fills.push({ seed, likelihood, blob, bitmap: await createImageBitmap(blob) });
    } else if (name === "done") {
      const uncertainty = coloured(await createImageBitmap(data.uncertainty));
      yield { kind: "done", fills, best: data.best, uncertainty, note: data.note, seconds: data.seconds };
    } else if (name === "level" && data.image) {
      yield { kind: name, ...data, patch: await createImageBitmap(data.image) };
    } else {
      yield { kind: name, ...data };
    }
  }
}

// A fill under way: its parts as they were last seen, and how far it is. Far holes, and windows on a long one, are filled
// side by side.
export class Live {
  constructor(mask, steps) {
    this.mask = mask;
    this.parts = new Map();
    this.level = null; // the finest scale that is done, of the fill under way
    this.progress = [0, steps, t`waiting`]; // done, of how many, in words
    this.timed = false; // whether it takes long enough that the time left is told
  }

  // What became of it; returns how far it is.
  take(news) {
    if (news.kind === "queued" && news.ahead) this.progress = [0, this.progress[1], t`${news.ahead} before you`];
    if (news.kind === "level") this.progress = detail(news);
    if (news.patch) {
      this.clip ??= clipper(this.mask);
      this.level = { clip: this.clip, patch: news.patch, box: news.box, hidden: null };
    }
    if (news.kind === "step") {
      const { box, patches, part, parts, step, steps } = news;
      const clip = this.parts.get(part)?.clip ?? clipper(this.mask);
      this.parts.set(part, { clip, box, patches, patch: patches[0], hidden: news.fills[0].hidden, step });
      const done = [...this.parts.values()].reduce((sum, one) => sum + one.step, 0);
      const where = parts > 1 ? `${t`part ${part} of ${parts}`}, ` : "";
      this.progress = [done, parts * steps, this.withTime(`${where}${t`step ${step} of ${steps}`}`, news, done / (parts * steps))];
    }
    return this.progress;
  }

  // Words with the time that is left, where all of it takes longer than a moment. Once told it stays, so
  // that the line does not change its shape while it counts down.
  withTime(words, { seconds_left: left }, share) {
    this.timed ||= share < 1 && left / (1 - share) > MOMENT;
    return this.timed && left > 0 ? timed(words, left) : words;
  }

  // Those of one of the fills, each with its place.
  patches(fill) {
    return [...this.parts.values()].map(({ patches, box }) => [patches[fill], box]);
  }
}

// Of a wide hole, what is drawn anew at finer scales, fill by fill: how far, and how long it still takes.
function detail({ sample, samples, windows, total, seconds_left: left }) {
  const each = total > windows ? left / (total - windows) : 0;
  return [sample * total + windows, samples * total, timed(t`finer detail`, left + each * total * (samples - sample - 1))];
}

// In seconds up to a minute and a half, as on the command line.
function timed(words, left) {
  const seconds = Math.max(1, Math.round(left));
  return seconds < 90 ? t`${words}, about ${seconds} s left` : t`${words}, about ${Math.round(seconds / 60)} min left`;
}

// Grey levels of entropy as colours; known pixels stay clear.
function coloured(grey) {
  const canvas = new OffscreenCanvas(grey.width, grey.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(grey, 0, 0);
  const picture = context.getImageData(0, 0, grey.width, grey.height);
  const { data } = picture;
  for (let i = 0; i < data.length; i += 4) {
    const level = data[i];
    const place = (level / 255) * (RAMP.length - 1);
    const low = Math.min(Math.floor(place), RAMP.length - 2);
    for (let c = 0; c < 3; c++) data[i + c] = RAMP[low][c] + (RAMP[low + 1][c] - RAMP[low][c]) * (place - low);
    data[i + 3] = level ? 215 : 0;
  }
  context.putImageData(picture, 0, 0);
  return canvas;
}

// A function that cuts a patch of the model's size to the hole.
function clipper(mask) {
  let canvas = null;
  return (patch, box) => {
    canvas ??= new OffscreenCanvas(box.width, box.height);
    const context = canvas.getContext("2d");
    context.globalCompositeOperation = "copy";
    context.imageSmoothingEnabled = box.width / patch.width < 2 || box.width > 512;
    context.drawImage(patch, 0, 0, box.width, box.height);
    context.globalCompositeOperation = "destination-in";

    context.drawImage(solidOf(mask, box), 0, 0);
    return canvas;
  };
}

const solids = new WeakMap();

function solidOf(mask, box) {
  const known = solids.get(mask);
  if (known?.version === mask.version && known.left === box.left && known.top === box.top) return known.canvas;
  const canvas = new OffscreenCanvas(box.width, box.height);
  const picture = new ImageData(box.width, box.height);
  const pixels = new Uint32Array(picture.data.buffer);
  for (let row = 0, i = 0; row < box.height; row++) {
    const start = (row + box.top) * mask.width + box.left;
    for (let column = 0; column < box.width; column++, i++) if (mask.data[start + column]) pixels[i] = 0xff000000;
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
  solids.set(mask, { version: mask.version, left: box.left, top: box.top, canvas });
  return canvas;
}
