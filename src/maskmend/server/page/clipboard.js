// Masks from the clipboard: a picture that is pasted onto an open one and looks like a mask may be meant as its mask.

import { Failure } from "./api.js";
import { t } from "./words.js";

// Whether nearly all of a picture is black, white or erased: looked at in small, without blending its pixels.
export async function looksLikeMask(blob) {
  let picture;
  try {
    picture = await createImageBitmap(blob);
  } catch {
    return false; // said where it is opened
  }
  const side = 96;
  const context = new OffscreenCanvas(side, side).getContext("2d", { willReadFrequently: true });
  context.imageSmoothingEnabled = false;
  context.drawImage(picture, 0, 0, side, side);
  picture.close();
  const { data } = context.getImageData(0, 0, side, side);
  let plain = 0;
  let dark = 0;
  for (let i = 0; i < data.length; i += 4) {
    const [red, green, blue, alpha] = data.subarray(i, i + 4);
    const [low, high] = [Math.min(red, green, blue), Math.max(red, green, blue)];
    if (alpha < 8 || high < 16) dark++;
    if (alpha < 8 || high < 16 || low > 239) plain++;
  }
  const all = data.length / 4;
  return plain > 0.97 * all && dark > 0 && dark < all;
}

// What is to become of a pasted picture: "mask", "picture", or "" for nothing.
export function asked(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
  });
}

// The picture in the clipboard; throws a Failure where there is none, or the browser keeps it back.
export async function pasted() {
  let items;
  try {
    items = await navigator.clipboard.read();
  } catch {
    throw new Failure("clipboard", t`The browser does not let this page read the clipboard. Press Ctrl+V instead.`);
  }
  for (const item of items) {
    const type = item.types.find((one) => one.startsWith("image/"));
    if (type) return item.getType(type);
  }
  throw new Failure("clipboard", t`There is no picture in the clipboard. Copy one first.`);
}
