// Texts of the page in modules that the worker runs too. It has no language: a text stays a key and its values until the page
// says it in its own (`phrase` of words.js).

import { Failure } from "../failure.js";

// {key, values} of a template, as words.js makes them of it.
export function t(parts, ...values) {
  return { key: parts.reduce((text, part, i) => `${text}{${i - 1}}${part}`), values };
}

// A Failure whose message is such a text.
export class Told extends Failure {
  constructor(code, text) {
    super(code, text.key);
    this.text = text;
  }
}

// Two notes as one; either may be null.
export function joined(one, two) {
  return one && two ? t`${one}; ${two}` : one ?? two;
}
