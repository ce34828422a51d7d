// Whether a picture can be filled as it is, found out when it is opened. Of PNG, JPEG and WebP the bytes tell: where
// they say 8 bits, grey or RGB, one frame, a whole file, nothing need be asked. All else the server reads, and makes a
// PNG of, or says what it would have to convert.

import { convert, Failure } from "./api.js";
import { t } from "./words.js";

const JPEG_FRAMES = new Set([0xc0, 0xc1, 0xc2]); // baseline, extended, progressive

// The file to fill, and what was converted to make it; throws a Failure that tells why there is none. `agreed` is asked,
// with what would be converted, where that takes consent; null where it is not given.
export async function usable(blob, name, agreed) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  if (plain(bytes)) return { blob, converted: "" };
  try {
    const file = await convert(blob, "png", 95);
    return isJpeg(bytes) ? { blob, converted: "" } : file; // a photograph as PNG is several times as large
  } catch (error) {
    if (error.code !== "conversion_needed") throw told(error, name);
    if (!(await agreed(name, error.conversions))) return null;
  }
  try {
    return await convert(blob, "png", 95, true);
  } catch (error) {
    throw told(error, name);
  }
}

function told(error, name) {
  if (error.code === "offline" || error.code === "token_needed" || error.name === "AbortError") return error;
  return new Failure(error.code, t`${name} cannot be opened. ${error.message}`);
}

// True where the bytes of a file leave no doubt.
export function plain(bytes) {
  try {
    return plainPng(bytes) || plainJpeg(bytes) || plainWebp(bytes);
  } catch (error) {
    if (error instanceof RangeError) return false; // the file ends too soon
    throw error;
  }
}

const text = (bytes, at) => String.fromCharCode(...bytes.subarray(at, at + 4));

function plainPng(bytes) {
  if (text(bytes, 0) !== "\x89PNG" || bytes[24] > 8) return false;
  const view = new DataView(bytes.buffer);
  for (let at = 8, kind; kind !== "IEND"; at += 12 + view.getUint32(at)) {
    kind = text(bytes, at + 4);
    if (kind === "acTL") return false;
    if (at + 12 + view.getUint32(at) > bytes.length) return false;
  }
  return true;
}

function isJpeg(bytes) {
  return bytes[0] === 0xff && bytes[1] === 0xd8;
}

function plainJpeg(bytes) {
  if (!isJpeg(bytes)) return false;
  const [last, end] = bytes.subarray(-2);
  if (last !== 0xff || end !== 0xd9) return false;
  const view = new DataView(bytes.buffer);
  for (let at = 2; bytes[at] === 0xff; at += 2 + view.getUint16(at + 2)) {
    const marker = bytes[at + 1];
    if (JPEG_FRAMES.has(marker)) return bytes[at + 4] === 8 && (bytes[at + 9] === 1 || bytes[at + 9] === 3);
    if (marker === 0xda) return false; // pixels, and no frame was described
  }
  return false;
}

function plainWebp(bytes) {
  if (text(bytes, 0) !== "RIFF" || text(bytes, 8) !== "WEBP") return false;
  if (new DataView(bytes.buffer).getUint32(4, true) + 8 > bytes.length) return false;
  const kind = text(bytes, 12);
  return kind === "VP8 " || kind === "VP8L" || (kind === "VP8X" && !(bytes[20] & 2)); // 2: it is animated
}
