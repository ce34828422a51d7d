// A seed of its own for each window of the finer levels: `maskmend.seeds.window_seed`, which is NumPy's SeedSequence.

const LARGEST = 2n ** 63n - 1n;

function words(number) {
  const parts = [];
  for (let rest = BigInt(number); rest > 0n || !parts.length; rest >>= 32n) parts.push(Number(rest & 0xffffffffn));
  return parts;
}

function hasher(start, factor) {
  let constant = start;
  return (value) => {
    const mixed = value ^ constant;
    constant = Math.imul(constant, factor);
    const product = Math.imul(mixed, constant);
    return product ^ (product >>> 16);
  };
}

function joined(x, y) {
  const result = (Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y)) | 0;
  return result ^ (result >>> 16);
}

// All arguments are whole numbers, the seed a BigInt; so is what is returned.
export function windowSeed(seed, level, window) {
  const entropy = [seed, level, window].flatMap(words);
  const hash = hasher(0x43b0d7e5, 0x931e8875);
  const pool = [0, 1, 2, 3].map((i) => hash(entropy[i] ?? 0));
  for (let from = 0; from < 4; from++) {
    for (let to = 0; to < 4; to++) if (from !== to) pool[to] = joined(pool[to], hash(pool[from]));
  }
  for (const word of entropy.slice(4)) for (let to = 0; to < 4; to++) pool[to] = joined(pool[to], hash(word));
  const output = hasher(0x8b51f9dd, 0x58f38ded);
  const [low, high] = [0, 1].map((i) => BigInt(output(pool[i]) >>> 0));
  return ((high << 32n) | low) & LARGEST;
}
