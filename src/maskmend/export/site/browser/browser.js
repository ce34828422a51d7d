// Fills in the browser, as the editor asks for them (`api.js`): a worker has the model, and nothing leaves this machine.

import { Failure } from "../failure.js";
import { phrase, t } from "../words.js";
import { fetched } from "./fetching.js";
import { readMask, readPicture } from "./files.js";
import { controlled } from "./offline.js";
import { writePng } from "./png.js";
import * as texts from "./texts.js";

const about = await (await fetch(new URL("../site.json", import.meta.url))).json();
const RUNS = ["wasm", "webgpu"]; // what may be chosen by hand, in the page's address: ?run=wasm
const waiting = new Map(); // by the number of a fill, what takes its messages
let fills = 0;
let worker = null;
let trouble = null;
let [loading, runs] = [null, null]; // how far the model is, and what it runs on

controlled().then(() => {
  const script = new URL("worker.js", import.meta.url);
  const wish = new URLSearchParams(location.search).get("run");
  if (RUNS.includes(wish)) script.searchParams.set("run", wish);
  worker = new Worker(script, { type: "module" });
  worker.addEventListener("message", ({ data }) => heard(data));
  worker.addEventListener("error", ({ message }) => heard({ failed: message || texts.t`the worker did not start` }));
});
document.addEventListener("language", show);

function heard(data) {
  if (data.id !== undefined) return waiting.get(data.id)?.(data);
  loading = data.loading ?? null;
  runs = data.ready ?? null;
  if (data.failed) trouble = data.failed;
  if (trouble) for (const take of waiting.values()) take({ error: {} });
  return show();
}

function show() {
  const box = document.getElementById("loading");
  box.hidden = !loading;
  const on = document.getElementById("runs");
  on.hidden = !runs;
  if (runs) on.textContent = runs.gpu ? t`Runs on WebAssembly, threads: ${runs.threads}; WebGPU draws the pictures.` : t`Runs on WebAssembly, threads: ${runs.threads}.`;
  if (!loading) return;
  const [bar, words] = box.children;
  bar.max = loading.total;
  bar.value = loading.bytes;
  const [came, all] = [loading.bytes, loading.total].map((bytes) => (bytes / 1e6).toFixed(1));
  words.textContent = t`model ${came} of ${all} MB`;
}

export async function models() {
  return about;
}

export async function samples() {
  return about.samples;
}

export async function file(path) {
  return (await spoken(fetched(path))).blob();
}

export async function ready() {
  return true;
}

export function keepToken() {} // there is no door

export async function* fill(image, mask, { guide, ...parameters }, signal) {
  await controlled();
  if (trouble) throw failureOf({});
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
      if (error) throw failureOf(error);
      yield [name, name === "done" && data.note ? { ...data, note: phrase(data.note) } : data];
      if (name === "done") return;
    }
  } finally {
    waiting.delete(id);
    signal.removeEventListener("abort", stop);
  }
}

// What the worker tells of an error, in the page's language.
function failureOf({ name, code, text }) {
  if (trouble) return new Failure("model_failed", t`The model cannot be loaded: ${words(trouble)}. Reload the page to try again.`);
  if (name === "AbortError") return new DOMException(words(text), name);
  return new Failure(code ?? "fill_failed", text.key ? words(text) : t`The fill failed: ${text}.`);
}

function words(text) {
  return text.key ? phrase(text) : text;
}

// The promise's result; what it fails with says its text in the page's language.
async function spoken(promise) {
  try {
    return await promise;
  } catch (error) {
    throw error.text ? new Failure(error.code, phrase(error.text)) : error;
  }
}

export function convert(blob, format, quality) {
  return spoken(converted(blob, format, quality));
}

async function converted(blob, format, quality) {
  const picture = await readPicture(blob);
  if (format === "png") return { blob: await writePng(picture), converted: "" };
  if (format === "jpeg" && picture.alpha?.some((value) => value < 255)) throw new Failure("image_unusable", t`JPEG holds no transparency: take PNG.`);
  const bitmap = await createImageBitmap(blob);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  const written = await canvas.convertToBlob({ type: `image/${format}`, quality: quality / 100 });
  if (written.type !== `image/${format}`) throw new Failure("format_unknown", t`This browser writes no ${format.toUpperCase()}: take PNG.`);
  return { blob: written, converted: "" };
}

export async function mask(blob, width, height) {
  const { mask: read, resized, channel } = await spoken(readMask(blob, { width, height }, about.limits.pixels));
  const plane = read.data.map((open) => open * 255);
  const png = await writePng({ width, height, planes: [plane, plane, plane], grey: true });
  return { blob: png, resized, channel, note: null };
}
