// How likely a fill is beside the best one, in words for everyone; the figures are there for whoever asks.
//
// What is compared is the probability of a token, on average. By itself that says little: where much is possible, as in
// grass or water, every fill is unlikely and none is bad. Likelier than another means safer, and often plainer.

const WORDS = [[1.6, "much safer"], [1.1, "safer"], [1 / 1.1, "much alike"], [1 / 1.6, "bolder"], [0, "much bolder"]];

// Both in nats a token.
export function inWords(likelihood, best) {
  const ratio = Math.exp(likelihood - best);
  return WORDS.find(([least]) => ratio >= least)[1];
}

export function inFigures(likelihood) {
  const nats = likelihood.toFixed(2).replace("-", "−");
  return `${nats} nats a token: ${(100 * Math.exp(likelihood)).toFixed(1)} % for each, on average`;
}
