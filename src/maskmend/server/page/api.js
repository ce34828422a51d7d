// Who fills: what the editor asks of it, whoever it is. Here it is the server that sent the page (`server.js`); the site
// that `maskmend export web` writes has a file of this name whose fills come from a worker in the browser.
//
//   models()                        what there is: models with their settings, limits, choices
//   fill(image, mask, parameters, signal)  a fill, as events: [name, data], the last of them "done"
//     queued {ahead}   step {step, steps, part, parts, seconds_left, box, fills: [{hidden, image}]}   level {...}
//     fill {seed, log_likelihood, image}   done {best, uncertainty, note, seconds}
//     Images are what `createImageBitmap` takes; those of "fill" are PNG files.
//   convert(blob, format, quality, consent)  a picture in another format
//   mask(blob, width, height)       a file as a mask
//   samples(), file(path)           the sample pictures
//   ready()                         whether it answers
//   keepToken(text)                 what lets the page in, where that is needed
//
// What fails throws a Failure.

export { Failure, sentence } from "./failure.js";
export { convert, file, fill, keepToken, mask, models, ready, samples } from "./server.js";
