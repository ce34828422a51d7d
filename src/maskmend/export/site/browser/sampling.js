// The decode loop of `maskmend.decoding`, for one picture and any number of seeds; `maskmend.decoding.interface` explains
// the settings. `predict` alone knows the model.

import { CONFIDENCE, gumbel, ORDER, seeded, TOKEN, uniform } from "./noise.js";

const BASE = 256; // of the schedules log and exp

export const SCHEDULES = {
  cosine: (r) => Math.sin((Math.PI / 2) * (1 - r)),
  linear: (r) => 1 - r,
  square: (r) => 1 - r ** 2,
  square_root: (r) => 1 - Math.sqrt(r),
  arccos: (r) => (Math.acos(r) * 2) / Math.PI,
  cubic: (r) => 1 - r ** 3,
  log: (r) => 1 - Math.log(1 + (BASE - 1) * r) / Math.log(BASE),
  exp: (r) => (BASE - BASE ** r) / (BASE - 1),
};

// Tokens still masked after each step, from step 0.
export function maskCounts(hole, { steps, schedule, sweet_spot: sweetSpot }) {
  const counts = [hole];
  for (let t = 1; t <= steps; t++) {
    const wanted = Math.floor(hole * SCHEDULES[schedule](t / steps) + 1e-9);
    counts.push(sweetSpot && t >= sweetSpot ? 0 : Math.max(0, Math.min(wanted, counts.at(-1) - 1)));
  }
  return counts;
}

// Fills the hole. `tokens` (N) are the known ones, `hole` (N) is 1 where one is to be filled, `seeds` are BigInts;
// `predict(filled, masked)` is a promise of the logits of the masked tokens of all fills, S rows of `codes` numbers.
// {tokens: one array for each seed, entropy (N), likelihood: summed log-probabilities}. After each step
// `told(t, candidates, masked)` is awaited: the tokens with every gap filled, and what is still open.
export async function decode(predict, tokens, hole, { codes, maskId, seeds, settings, told = async () => {} }) {
  const { steps, order, confidence, noise } = settings;
  const count = seeds.length;
  const size = tokens.length;
  const filled = seeds.map(() => tokens.map((token, i) => (hole[i] ? maskId : token)));
  const masked = seeds.map(() => hole.slice());
  const entropy = new Float32Array(size);
  const likelihood = new Float64Array(count);
  const lanes = seeds.map((seed) => [TOKEN, CONFIDENCE, ORDER].map((stream) => seeded(seed, stream)));
  const counts = maskCounts(hole.reduce((sum, open) => sum + open, 0), settings);
  for (let t = 1; t <= steps && counts[t - 1] > 0; t++) {
    const logits = await predict(filled, masked);
    const candidates = filled.map((row) => row.slice());
    let row = 0;
    for (let fill = 0; fill < count; fill++) {
      const slots = [];
      for (let position = 0; position < size; position++) {
        if (!masked[fill][position]) continue;
        const mine = logits.subarray(row * codes, ++row * codes);
        const most = maximum(mine);
        const code = draw(mine, most, lanes[fill][TOKEN], t, position, settings);
        const chance = Math.fround(mine[code] - logSum(mine, most));
        if (t === 1 && fill === 0) entropy[position] = entropyOf(mine, most);
        slots.push({ position, code, chance, score: score(chance, lanes[fill], t, position) });
        candidates[fill][position] = code;
      }
      slots.sort((a, b) => b.score - a.score || a.position - b.position);
      for (const { position, code, chance } of slots.slice(0, counts[t - 1] - counts[t])) {
        filled[fill][position] = code;
        masked[fill][position] = 0;
        likelihood[fill] += chance;
      }
    }
    await told(t, candidates, masked);
  }
  return { tokens: filled, entropy, likelihood };

  function score(chance, [, shake, fixed], t, position) {
    if (order === "random") return uniform(fixed, 0, position, 1)[0];
    const sure = confidence === "probability" ? Math.fround(Math.exp(chance)) : chance;
    const weight = Math.fround(noise * (1 - t / steps));
    return weight > 0 ? Math.fround(sure + Math.fround(weight * gumbel(shake, t, position, 1)[0])) : sure;
  }
}

// One code, as `maskmend.decoding.sampling.sample`.
function draw(logits, most, lanes, t, position, { choice, temperature, top_k: topK, top_p: topP }) {
  if (choice !== "sample" || !(temperature > 0)) return argmax(logits);
  const noise = gumbel(lanes, t, position, logits.length);
  const { fround } = Math;
  const divisor = fround(temperature);
  const scaled = logits.map((logit) => fround(logit - most) / divisor);
  if (!topK && !(topP < 1)) return argmax(scaled.map((logit, code) => logit + noise[code]));
  const order = Array.from(scaled, (_, code) => code).sort((a, b) => scaled[b] - scaled[a] || a - b);
  const kept = topK ? order.slice(0, topK) : order;
  const chances = kept.map((code) => Math.exp(scaled[code]));
  const total = chances.reduce((sum, chance) => sum + chance, 0);
  let before = 0;
  let best = kept[0];
  kept.forEach((code, i) => {
    const inside = i === 0 || !(topP < 1) || before < topP;
    before += chances[i] / total;
    if (inside && fround(scaled[code] + noise[code]) > fround(scaled[best] + noise[best])) best = code;
  });
  return best;
}

function maximum(values) {
  let most = -Infinity;
  for (let i = 0; i < values.length; i++) if (values[i] > most) most = values[i];
  return most;
}

function argmax(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

function logSum(logits, most) {
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i] - most);
  return Math.log(sum) + most;
}

// In nats.
function entropyOf(logits, most) {
  const total = logSum(logits, most);
  let sum = 0;
  for (let i = 0; i < logits.length; i++) {
    const log = logits[i] - total;
    const chance = Math.exp(log);
    if (chance > 0) sum -= chance * log;
  }
  return sum;
}
