// Pictures and masks that come in: chosen, dropped, pasted, or one of the samples.

import { Failure, file, samples } from "./api.js";
import { agreed } from "./consent.js";
import { usable } from "./inspection.js";
import { t } from "./words.js";

// What is shown and what is sent are one file: the chosen one, or what the server made of it (`inspection`). Null where
// it would have to be converted and shall not be.
export async function open(chosen, name, limits) {
  checkBytes(chosen, name, limits);
  const found = await usable(chosen, name, agreed);
  if (!found) return null;
  const { blob, converted } = found;
  if (blob !== chosen) checkBytes(blob, t`${name}, as PNG,`, limits);
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob);
  } catch {
    throw new Failure("image_unusable", t`${name} cannot be opened. It is damaged, or too large for this browser.`);
  }
  if (limits && bitmap.width * bitmap.height > limits.pixels) {
    const [has, may] = [bitmap.width * bitmap.height, limits.pixels].map((pixels) => `${(pixels / 1e6).toFixed(1)} Mpx`);
    throw new Failure("too_many_pixels", t`${name} has ${has}, the limit is ${may}. Scale it down.`);
  }
  return { blob, name, converted, bitmap, width: bitmap.width, height: bitmap.height, transparent: transparent(bitmap) };
}

function checkBytes(blob, name, limits) {
  if (!limits || blob.size <= limits.upload_bytes) return;
  const [has, may] = [blob.size, limits.upload_bytes].map((bytes) => `${(bytes / 2 ** 20).toFixed(0)} MiB`);
  throw new Failure("too_large", t`${name} has ${has}, the limit is ${may}. Pack it better or scale it down.`);
}

// Looked at in small: enough to know whether a checkerboard is needed behind it.
function transparent(bitmap) {
  const canvas = new OffscreenCanvas(64, 64);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0, 64, 64);
  return context.getImageData(0, 0, 64, 64).data.some((value, i) => i % 4 === 3 && value < 255);
}

// `pictures` and `pasted` take a list of files, `mask` one.
export function listen({ pictures, pasted, mask }) {
  const input = document.getElementById("file-input");
  const maskInput = document.getElementById("mask-input");
  const take = (field, use) => field.addEventListener("change", () => {
    const chosen = [...field.files];
    field.value = "";
    if (chosen.length) use(chosen);
  });
  take(input, pictures);
  take(maskInput, ([chosen]) => mask(chosen, chosen.name));
  for (const id of ["open", "choose"]) document.getElementById(id).addEventListener("click", () => input.click());
  document.getElementById("mask-load").addEventListener("click", () => maskInput.click());

  document.addEventListener("paste", (event) => {
    const chosen = [...(event.clipboardData?.files ?? [])].filter(({ type }) => type.startsWith("image/"));
    if (!chosen.length) return;
    event.preventDefault();
    pasted(chosen);
  });

  const drop = document.getElementById("drop");
  const carries = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragenter", (event) => { if (carries(event)) drop.hidden = false; });
  document.addEventListener("dragover", (event) => { if (carries(event)) event.preventDefault(); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.hidden = true; });
  document.addEventListener("drop", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    drop.hidden = true;
    const chosen = [...event.dataTransfer.files];
    if (chosen.length) pictures(chosen);
  });
}

export async function showSamples(picture, failed) {
  const names = await samples();
  document.getElementById("samples").hidden = names.length === 0;
  document.getElementById("sample-list").replaceChildren(...names.map((name, i) => {
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.append(Object.assign(document.createElement("img"), { src: `samples/${name}`, alt: t`Sample ${i + 1}` }));
    button.addEventListener("click", () => file(`samples/${name}`).then((blob) => picture(blob, name), failed));
    return button;
  }));
}
