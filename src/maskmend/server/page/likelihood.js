// How likely a fill is beside the best one, in words for everyone; the figures are there for whoever asks.
//
// What is compared is the probability of a token, on average. By itself that says little: where much is possible, as in
// grass or water, every fill is unlikely and none is bad. Likelier than another means safer, and often plainer.

import { number, t } from "./words.js";

const words = () => [[1.6, t`much safer`], [1.1, t`safer`], [1 / 1.1, t`much alike`], [1 / 1.6, t`bolder`], [0, t`much bolder`]];

// Both in nats a token.
export function inWords(likelihood, best) {
  const ratio = Math.exp(likelihood - best);
  return words().find(([least]) => ratio >= least)[1];
}

export function inFigures(likelihood) {
  const nats = number(likelihood, 2).replace("-", "−");
  return t`${nats} nats a token: ${number(100 * Math.exp(likelihood), 1)} % for each, on average`;
}
