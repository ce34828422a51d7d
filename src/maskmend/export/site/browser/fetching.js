// Files of the site, fetched, with a text of the page where they do not come.

import { t, Told } from "./texts.js";

// The response to a path or URL.
export async function fetched(url) {
  const name = nameOf(url);
  const response = await arrived(fetch(url), name);
  if (!response.ok) throw new Told("not_fetched", t`${name} could not be fetched: status ${response.status}`);
  return response;
}

// Its bytes as a Blob; `came` is told how many are in each piece.
export async function download(url, came) {
  const reader = (await fetched(url)).body.getReader();
  const parts = [];
  const next = () => arrived(reader.read(), nameOf(url));
  for (let piece = await next(); !piece.done; piece = await next()) {
    parts.push(piece.value);
    came(piece.value.length);
  }
  return new Blob(parts);
}

async function arrived(promise, name) {
  try {
    return await promise;
  } catch {
    throw new Told("not_fetched", t`${name} could not be fetched: no network, or the server does not answer`);
  }
}

function nameOf(url) {
  return String(url).split("/").at(-1);
}
