// Files that leave the page: the picture as it is shown, encoded by the server, and the mask.

import { convert } from "./api.js";

export const ENDINGS = { png: "png", jpeg: "jpg", webp: "webp" };

// A fill is a lossless PNG of the server already; anything else is encoded there, never from a canvas, which would
// lose the colour profile and the colour under transparent pixels.
export async function encoded(blob, format, quality) {
  return format === "png" && blob.type === "image/png" ? blob : (await convert(blob, format, quality)).blob;
}

export function hand(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

export function stem(name) {
  return name.replace(/\.[^.]*$/, "").replace(/-mended$/, "") || "picture";
}
