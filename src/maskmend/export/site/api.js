// Who fills: here a worker in the browser. Where the editor is served, its server's module of this name stands in its
// place, which says what is asked of either.

export { Failure, sentence } from "./failure.js";
export { convert, file, fill, keepToken, mask, models, ready, samples } from "./browser/browser.js";
