// Files that come in: PNG is read here, to the bit; JPEG, WebP and whatever else this browser knows by the browser.

import { header, isPng, readPng } from "./png.js";
import { t, Told } from "./texts.js";

export async function readPicture(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  if (isPng(bytes)) {
    const { bits, interlaced } = header(bytes);
    if (bits <= 8 && !interlaced) return readPng(bytes);
  }
  const picture = pixelsOf(await opened(blob));
  if (picture.alpha) throw new Told("image_unusable", t`Transparency is kept of PNG only: save the picture as PNG of 8 bits, not interlaced.`);
  return { ...picture, chunks: isPng(bytes) ? [] : profileOf(bytes) };
}

async function opened(blob) {
  try {
    return await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    throw new Told("image_unusable", t`This browser does not open such files: save it as PNG, JPEG or WebP.`);
  }
}

function pixelsOf(bitmap, most = Infinity) {
  const { width, height } = bitmap;
  checkPixels(bitmap, most);
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const plane = (c) => Uint8Array.from({ length: width * height }, (_, i) => data[4 * i + c]);
  const alpha = plane(3);
  const clear = alpha.some((value) => value < 255);
  return { width, height, planes: [0, 1, 2].map(plane), alpha: clear ? alpha : null, grey: false, chunks: [] };
}

function checkPixels({ width, height }, most) {
  const [has, may] = [width * height, most].map((pixels) => (pixels / 1e6).toFixed(1));
  if (width * height > most) throw new Told("too_many_pixels", t`It has ${has} Mpx, the limit is ${may} Mpx. Scale it down.`);
}

// The colour profile of a JPEG as a PNG's: its APP2 segments, joined. Its packing takes a while to no end: it is stored.
function profileOf(bytes) {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return [];
  const parts = [];
  for (let at = 2; at + 4 < bytes.length && bytes[at] === 0xff && bytes[at + 1] !== 0xda;) {
    const length = (bytes[at + 2] << 8) | bytes[at + 3];
    const name = String.fromCharCode(...bytes.subarray(at + 4, at + 15));
    if (bytes[at + 1] === 0xe2 && name === "ICC_PROFILE") parts[bytes[at + 16]] = bytes.subarray(at + 18, at + 2 + length);
    at += 2 + length;
  }
  const profile = joined(parts.filter(Boolean));
  return profile.length ? [["iCCP", joined([new TextEncoder().encode("icc\0\0"), stored(profile)])]] : [];
}

function joined(parts) {
  const result = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

// A zlib stream that is not compressed (RFC 1950, 1951). A profile is never spread into arguments: some browsers take no more
// than 65,536 of them.
function stored(bytes) {
  const parts = [[0x78, 0x01]];
  for (let at = 0; at < bytes.length; at += 65535) {
    const part = bytes.subarray(at, at + 65535);
    const { length } = part;
    parts.push([at + length >= bytes.length ? 1 : 0, length & 255, length >> 8, ~length & 255, (~length >> 8) & 255], part);
  }
  let [a, b] = [1, 0];
  for (const byte of bytes) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  return joined([...parts, [b >> 8, b & 255, a >> 8, a & 255]]);
}

// A file as a mask of a picture's size: by its transparency where it has any, else by its brightness from one half on.
// {mask, resized, channel}. Of more than `most` pixels none are unpacked.
export async function readMask(blob, { width, height }, most = Infinity) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const known = isPng(bytes) && header(bytes);
  if (known) checkPixels(known, most);
  const picture = known && known.bits <= 8 && !known.interlaced ? await readPng(bytes) : pixelsOf(await opened(blob), most);
  const clear = picture.alpha?.some((value) => value < 255);
  const bright = (i) => (clear ? 255 - picture.alpha[i] : 0.299 * picture.planes[0][i] + 0.587 * picture.planes[1][i] + 0.114 * picture.planes[2][i]);
  const data = Uint8Array.from({ length: width * height }, (_, i) => {
    const y = Math.floor(((Math.floor(i / width) + 0.5) * picture.height) / height);
    const x = Math.floor((((i % width) + 0.5) * picture.width) / width);
    return bright(y * picture.width + x) >= 127.5 ? 1 : 0;
  });
  const same = picture.width === width && picture.height === height;
  return { mask: { width, height, data }, resized: same ? null : `${picture.width}x${picture.height}`, channel: clear ? "alpha" : "luma" };
}
