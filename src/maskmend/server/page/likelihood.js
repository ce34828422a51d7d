// How likely a fill is beside the likeliest of them, in words for everyone; the figures are there for whoever asks.
//
// What is compared is the probability of a token, on average. By itself that says little: where much is possible, as in
// grass or water, every fill is unlikely and none is bad.

const WORDS = [[1, "likeliest"], [0.9, "nearly as likely"], [0.6, "less likely"], [0, "far less likely"]];

// Both in nats a token.
export function inWords(likelihood, likeliest) {
  const share = Math.exp(likelihood - likeliest);
  return WORDS.find(([least]) => share >= least)[1];
}

export function inFigures(likelihood) {
  const nats = likelihood.toFixed(2).replace("-", "−");
  return `${nats} nats a token: ${(100 * Math.exp(likelihood)).toFixed(1)} % for each, on average`;
}
