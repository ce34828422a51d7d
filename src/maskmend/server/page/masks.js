// A mask from a file, read by the server: one rule for the page, the API and the command line.

import { Failure, mask as ask } from "./api.js";
import { t } from "./words.js";

// {bitmap, words}: black and white, of the picture's size, and how it came to be; throws a Failure.
export async function readMask(blob, name, { width, height }) {
  try {
    const { blob: file, resized, channel, note } = await ask(blob, width, height);
    const words = [t`${name} is the mask now`];
    if (resized) words.push(t`stretched from ${resized.replace("x", " × ")} to the picture's size`);
    if (channel === "alpha") words.push(t`read by its transparency`);
    if (note) words.push(note);
    const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
    return { bitmap, words: `${words.join(", ")}.` };
  } catch (error) {
    if (!(error instanceof Failure) || ["offline", "token_needed"].includes(error.code)) throw error;
    throw new Failure(error.code, t`${name} cannot be read as a mask. ${withoutFields(error.message)}`);
  }
}

// The API's fields are no advice here: ", or lower it with mask_threshold 0.15" goes.
function withoutFields(message) {
  return message.replace(/, or\b(?!.*, or\b).*\bmask_\w+.*$/, ".");
}
