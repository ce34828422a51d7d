// How likely a fill is, in words for everyone; the figures are there for whoever asks.

const WORDS = [[0.75, "very sure"], [0.5, "fairly sure"], [0.25, "unsure"], [-Infinity, "guessing"]];

// `likelihood` in nats a token; `most`, the nats of a token of which nothing is known, is the scale's other end.
export function inWords(likelihood, most) {
  return WORDS.find(([least]) => 1 + likelihood / most >= least)[1];
}

export function inFigures(likelihood) {
  const nats = likelihood.toFixed(2).replace("-", "−");
  return `${nats} nats a token: ${(100 * Math.exp(likelihood)).toFixed(1)} % for each, on average`;
}
