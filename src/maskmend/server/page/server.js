// The server, as the page sees it: what it can do, fills as streams of events, conversion of formats.
// Every failure becomes a Failure with a sentence for people.

import { Failure, sentence } from "./failure.js";
import { t } from "./words.js";

const offline = () => new Failure("offline", t`The server does not answer. Your picture and mask are safe here.`);
const KEY = "maskmend-token";

let token = sessionStorage.getItem(KEY) ?? "";

// A token in the address is taken over and removed from it, so that it is not bookmarked or shown.
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  keepToken(given);
  history.replaceState(null, "", location.pathname);
}

export function keepToken(text) {
  token = text.trim();
  sessionStorage.setItem(KEY, token);
}

async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw offline();
  }
  if (response.ok) return response;
  let error;
  try {
    ({ error } = await response.json());
  } catch {
    error = { code: "odd", message: t`The server answered with status ${response.status}.` };
  }
  throw new Failure(error.code, sentence(error.message), error.conversions);
}

export async function models() {
  return (await ask("v1/models")).json();
}

export async function samples() {
  return (await (await ask("samples")).json()).samples;
}

export async function file(path) {
  return (await ask(path)).blob();
}

export async function ready() {
  try {
    return (await fetch("readyz", { cache: "no-store" })).ok;
  } catch {
    return false;
  }
}

// {blob, converted}: the picture in another format, and what of it was converted where there was consent.
export async function convert(blob, format, quality, consent = false) {
  const form = new FormData();
  form.append("image", blob, "image");
  form.append("format", format);
  form.append("quality", quality);
  if (consent) form.append("convert", true);
  const response = await ask("v1/convert", { method: "POST", body: form });
  return { blob: await response.blob(), converted: response.headers.get("X-Maskmend-Converted") ?? "" };
}

// {blob, resized, channel, note}: a file as a mask of `width` x `height`, what size it had if another, how it was read,
// and what is odd about it.
export async function mask(blob, width, height) {
  const form = new FormData();
  form.append("mask", blob, "mask");
  form.append("width", width);
  form.append("height", height);
  form.append("fit_mask", true);
  const response = await ask("v1/mask", { method: "POST", body: form });
  const [resized, channel, note] = ["Resized", "Channel", "Note"].map((name) => response.headers.get(`X-Maskmend-${name}`));
  return { blob: await response.blob(), resized, channel, note };
}

// Yields [name, data] of each event until the fill is done; throws a Failure where it ends otherwise.
export async function* fill(image, mask, parameters, signal) {
  const form = new FormData();
  form.append("image", image, "image");
  if (mask) form.append("mask", mask, "mask"); // none where only new canvas is filled
  for (const [name, value] of Object.entries(parameters)) form.append(name, value);
  const headers = { Accept: "text/event-stream" };
  const response = await ask("v1/inpaint", { method: "POST", body: form, headers, signal });
  for await (const [name, data] of events(response.body)) {
    if (name === "error") throw new Failure(data.error.code, sentence(data.error.message));
    yield [name, withPictures(name, data)];
    if (name === "done") return;
  }
  throw offline();
}

async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  // Pieces are joined only when an event is whole: a large picture comes in many.
  let pieces = [];
  while (true) {
    let piece;
    try {
      piece = await reader.read();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw offline();
    }
    if (piece.done) return;
    pieces.push(piece.value);
    if (!piece.value.includes("\n")) continue;
    const parts = pieces.join("").split("\n\n");
    pieces = [parts.pop()];
    for (const part of parts) {
      const lines = part.split("\n");
      const name = lines.find((line) => line.startsWith("event: "));
      const data = lines.find((line) => line.startsWith("data: "));
      if (name && data) yield [name.slice(7), JSON.parse(data.slice(6))];
    }
  }
}

// Pictures come in base64.
function withPictures(name, data) {
  if (name === "step") return { ...data, fills: data.fills.map((one) => ({ ...one, image: png(one.image) })) };
  if (name === "level" && data.image) return { ...data, image: png(data.image) };
  if (name === "fill") return { ...data, image: png(data.image) };
  if (name === "done") return { ...data, uncertainty: png(data.uncertainty) };
  return data;
}

function png(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new Blob([bytes], { type: "image/png" });
}
