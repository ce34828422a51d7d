// Fills in the browser, as the editor asks for them (`api.js`): a worker has the model, and nothing leaves this machine.

import { Failure } from "../failure.js";
import { readMask, readPicture } from "./files.js";
import { controlled } from "./offline.js";
import { writePng } from "./png.js";

const about = await (await fetch(new URL("../site.json", import.meta.url))).json();
const waiting = new Map(); // by the number of a fill, what takes its messages
let fills = 0;
let worker = null;
let trouble = null;

controlled().then(() => {
  worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  worker.addEventListener("message", ({ data }) => heard(data));
  worker.addEventListener("error", ({ message }) => heard({ failed: message || "the worker did not start" }));
});

function heard(data) {
  if (data.loading) return showLoading(data.loading);
  if (data.ready) return showLoading(null);
  if (data.failed) {
    showLoading(null);
    trouble = new Failure("model_failed", `The model cannot be loaded: ${data.failed}. Reload the page to try again.`);
    for (const take of waiting.values()) take({ error: trouble });
    return undefined;
  }
  return waiting.get(data.id)?.(data);
}

function showLoading(loading) {
  const box = document.getElementById("loading");
  box.hidden = !loading;
  if (!loading) return;
  const [bar, words] = box.children;
  bar.max = loading.total;
  bar.value = loading.bytes;
  const [came, all] = [loading.bytes, loading.total].map((bytes) => (bytes / 1e6).toFixed(1));
  words.textContent = `model ${came} of ${all} MB`;
}

export async function models() {
  return about;
}

export async function samples() {
  return about.samples;
}

export async function file(path) {
  return (await fetch(path)).blob();
}

export async function ready() {
  return true;
}

export function keepToken() {} // there is no door

export async function* fill(image, mask, { guide, ...parameters }, signal) {
  if (trouble) throw trouble;
  await controlled();
  signal.throwIfAborted(); // or the worker would hear of the fill, and never that it was stopped
  const id = fills++;
  const news = [];
  let wake = () => {};
  waiting.set(id, (data) => { news.push(data); wake(); });
  const stop = () => { worker.postMessage({ stop: id }); wake(); };
  signal.addEventListener("abort", stop);
  worker.postMessage({ id, fill: { image, mask, guide, parameters } });
  try {
    while (true) {
      if (!news.length) await new Promise((resolve) => { wake = resolve; });
      signal.throwIfAborted();
      const { name, data, error } = news.shift();
      if (error) throw error instanceof Failure ? error : failureOf(error);
      yield [name, data];
      if (name === "done") return;
    }
  } finally {
    waiting.delete(id);
    signal.removeEventListener("abort", stop);
  }
}

// A Failure's class is lost on its way from the worker.
function failureOf({ name, code, message }) {
  if (name === "AbortError") return new DOMException(message, name);
  return new Failure(code ?? "fill_failed", code ? message : `The fill failed: ${message}.`);
}

export async function convert(blob, format, quality) {
  const picture = await readPicture(blob);
  if (format === "png") return { blob: await writePng(picture), converted: "" };
  if (format === "jpeg" && picture.alpha?.some((value) => value < 255)) throw new Failure("image_unusable", "JPEG holds no transparency: take PNG.");
  const bitmap = await createImageBitmap(blob);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  const written = await canvas.convertToBlob({ type: `image/${format}`, quality: quality / 100 });
  if (written.type !== `image/${format}`) throw new Failure("format_unknown", `This browser writes no ${format.toUpperCase()}: take PNG.`);
  return { blob: written, converted: "" };
}

export async function mask(blob, width, height) {
  const { mask: read, resized, channel } = await readMask(blob, { width, height });
  const plane = read.data.map((open) => open * 255);
  const png = await writePng({ width, height, planes: [plane, plane, plane], grey: true });
  return { blob: png, resized, channel, note: null };
}
