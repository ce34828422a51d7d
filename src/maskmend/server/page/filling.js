// One fill, from the request to four alternatives: follows the stream of events and keeps what is needed to show it.

import { blobFrom, fill } from "./api.js";
import { sent } from "./extend.js";

// The entropy's colours, from sure to guessed.
const RAMP = [[30, 30, 110], [120, 40, 140], [225, 90, 80], [250, 200, 60]];

export async function* follow(source, mask, parameters, signal) {
  const fills = [];
  for await (const [name, data] of fill(source.blob, await sent(mask), parameters, signal)) {
    if (name === "step") {
      const patches = await Promise.all(data.fills.map(({ image }) => bitmap(blobFrom(image, "image/png"))));
      yield { kind: "step", ...data, patches };
    } else if (name === "fill") {
      const blob = blobFrom(data.image, "image/png");
      fills.push({ seed: data.seed, likelihood: data.log_likelihood, blob, bitmap: await bitmap(blob) });
    } else if (name === "done") {
      const uncertainty = await coloured(await bitmap(blobFrom(data.uncertainty, "image/png")));
      yield { kind: "done", fills, best: data.best, uncertainty, note: data.note, seconds: data.seconds };
    } else if (name === "level" && data.image) {
      yield { kind: name, ...data, patch: await bitmap(blobFrom(data.image, "image/png")) };
    } else {
      yield { kind: name, ...data };
    }
  }
}

export function bitmap(blob) {
  return createImageBitmap(blob);
}

// Grey levels of entropy as colours; known pixels stay clear.
async function coloured(grey) {
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
export function clipper(mask) {
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
