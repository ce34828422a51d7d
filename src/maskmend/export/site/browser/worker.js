// The worker: the model, and one fill after the other. Messages in: {id, fill} and {stop: id}; out: {loading}, {ready} with
// what runs it, {failed}, and of a fill {id, name, data} as `api.js` names them, or {id, error}. Texts are those of texts.js.

import { extended, finished, grown, guideFrom } from "./canvas.js";
import { readMask, readPicture } from "./files.js";
import { fillPicture } from "./fill.js";
import { loadModel } from "./loading.js";
import { writePng } from "./png.js";

const stopped = new Set();
let turn = Promise.resolve();

const wish = new URL(import.meta.url).searchParams.get("run");
const model = loadModel(new URL("../model/", import.meta.url), (loading) => postMessage({ loading }), wish);
model.then(({ runs }) => postMessage({ ready: runs }), (error) => postMessage({ failed: textOf(error) }));

// A text of the page, or what the browser says.
function textOf(error) {
  return error?.text ?? String(error?.message ?? error);
}

addEventListener("message", ({ data }) => {
  if (data.stop !== undefined) stopped.add(data.stop);
  else turn = turn.then(() => answer(data.id, data.fill));
});

async function answer(id, request) {
  const tell = async (name, data) => {
    // A message that says stop is heard between two tasks only.
    await new Promise((resolve) => { setTimeout(resolve); });
    if (stopped.has(id)) throw new DOMException("stopped", "AbortError");
    postMessage({ id, name, data });
  };
  try {
    await fill(request, tell);
  } catch (error) {
    const { name, code } = error;
    postMessage({ id, error: { name, code: code && String(code), text: textOf(error) } });
  } finally {
    stopped.delete(id);
  }
}

async function fill({ image, mask: maskFile, guide: guideFile, parameters }, tell) {
  const ready = await model;
  const begun = performance.now();
  const source = await readPicture(image);
  const own = maskFile && (await readMask(maskFile, source)).mask;
  const { picture, mask: wide } = extended(source, own, parameters.extend);
  const mask = grown(wide, Number(parameters.grow ?? 0));
  const guide = guideFrom(guideFile && (await readPicture(guideFile)), mask);
  const settings = { ...ready.about.settings, ...parameters };
  for (const name of ["steps", "temperature", "guide_strength"]) settings[name] = Number(settings[name]);
  const seeds = Array.from({ length: parameters.samples }, (_, i) => BigInt(parameters.seed) + BigInt(i));
  await tell("started", {});
  const timed = (data) => ({ ...data, seconds_left: Math.round(10 * data.seconds_left) / 10 }); // as a server rounds it
  const told = (name, data) => tell(name, name === "step" ? stepOf(timed(data), ready.about.grid) : timed(data));
  const filled = await fillPicture(ready, { picture, mask, seeds, settings, guide, tell: told });
  for (const [index, one] of filled.pictures.entries()) {
    const png = await writePng(finished(picture, mask, one));
    await tell("fill", { index, seed: Number(seeds[index]), log_likelihood: filled.likelihood[index], image: png });
  }
  await tell("done", {
    best: filled.best,
    uncertainty: greyOf(filled.entropy, mask, Math.log(ready.about.codes)),
    tokens: filled.tokens,
    note: filled.note,
    unfamiliar: filled.unfamiliar,
    seconds: (performance.now() - begun) / 1000,
  });
}

function stepOf({ pictures, masked, ...news }, grid) {
  const rows = (open) => Array.from({ length: grid }, (_, row) => open.subarray(row * grid, (row + 1) * grid).join(""));
  return { ...news, fills: pictures.map((picture, i) => ({ hidden: rows(masked[i]), image: imageData(picture) })) };
}

function imageData({ width, height, planes }) {
  const data = new Uint8ClampedArray(4 * width * height).fill(255);
  planes.forEach((plane, c) => plane.forEach((level, i) => { data[4 * i + c] = level; }));
  return new ImageData(data, width, height);
}

// Entropy as grey levels; a hole's surest pixel is still no known one.
function greyOf(entropy, mask, most) {
  const plane = Uint8Array.from(entropy, (value, i) => (mask.data[i] ? Math.min(Math.max(Math.round((value / most) * 255), 1), 255) : 0));
  return imageData({ width: mask.width, height: mask.height, planes: [plane, plane, plane] });
}
