// The model's four graphs (docs/onnx.md) and what goes in and out of them.

import { decode } from "./sampling.js";

const QUICK = 60; // milliseconds for a picture

export class Model {
  // `ort` is onnxruntime-web, `sessions` are those of encoder, prefill, step and decoder, `about` is model.json, `runs` is
  // {threads, gpu}; `spare(name)` is a promise of a session without the GPU.
  constructor(ort, sessions, about, runs, spare) {
    this.ort = ort;
    this.sessions = sessions;
    this.about = about;
    this.runs = runs;
    this.spare = spare;
    this.quick = true;
  }

  async run(name, inputs) {
    const session = this.sessions[name];
    const wanted = Object.fromEntries(session.inputNames.map((input) => [input, inputs[input]]));
    const outputs = await session.run(wanted).catch(async (error) => {
      if (!this.runs.gpu || name !== "decoder") throw error;
      console.warn(`WebGPU is given up: ${error.message}`); // a GPU can go at any time, such as with its driver
      this.runs.gpu = false;
      this.sessions[name] = await this.spare(name);
      return this.sessions[name].run(wanted);
    });
    return session.outputNames.map((output) => outputs[output].data);
  }

  int64(values, shape) {
    return new this.ort.Tensor("int64", BigInt64Array.from(values, BigInt), shape);
  }

  float(values, shape) {
    return new this.ort.Tensor("float32", Float32Array.from(values), shape);
  }

  bool(values, shape) {
    return new this.ort.Tensor("bool", Uint8Array.from(values), shape);
  }

  image({ width, height, planes }) {
    const values = new Float32Array(3 * width * height);
    planes.forEach((plane, c) => values.set(plane, c * width * height));
    return new this.ort.Tensor("float32", values, [1, 3, height, width]);
  }

  // The fills of a region, one for each seed: {tokens, entropy, likelihood, pictures, open, hole, distances}, the last two of
  // each cell; `told(t, pictures, masked)` is awaited after each step with what it predicts.
  async fill(region, seeds, settings, told) {
    const { grid, codes, mask_id: maskId } = this.about;
    const { hole, missing, guessed } = this.tokenHole(region);
    const [encoded, distances] = await this.run("encoder", { image: this.image(region.image) });
    const tokens = Int32Array.from(encoded, Number);
    // On a slow machine drawing is what takes time: of a step's pictures the first, and one of the others in turn.
    const pictures = seeds.map(() => null);
    const seen = async (t, candidates) => {
      for (let i = 0; i < pictures.length; i++) {
        const begun = performance.now();
        const due = !pictures[i] || i === 0 || i === 1 + (t % (pictures.length - 1));
        if (due || this.quick) [pictures[i]] = await this.draw([candidates[i]], region);
        if (due) this.quick = performance.now() - begun < QUICK;
      }
      return pictures;
    };
    const predict = await this.predictor(tokens, hole, missing, guessed, seeds.length);
    const decoded = await decode(predict, tokens, hole, {
      codes, maskId, seeds, settings,
      told: told && (async (t, candidates, masked) => told(t, await seen(t, candidates), masked)),
    });
    const cells = grid * grid;
    return {
      ...decoded,
      pictures: await this.draw(decoded.tokens, region),
      open: hole.reduce((sum, one) => sum + one, 0),
      hole,
      distances,
      entropy: { width: grid, height: grid, planes: [decoded.entropy.subarray(0, cells)] },
    };
  }

  // Which tokens the hole touches, which share of their pixels it takes, and where it holds a guess.
  tokenHole({ mask, guess }) {
    const { grid, factor, resolution } = this.about;
    const hole = new Uint8Array(grid * grid);
    const missing = new Float32Array(grid * grid);
    const guessed = new Float32Array(grid * grid);
    for (let row = 0, i = 0; row < resolution; row++) {
      for (let column = 0; column < resolution; column++, i++) {
        if (!mask.data[i]) continue;
        const cell = Math.floor(row / factor) * grid + Math.floor(column / factor);
        hole[cell] = 1;
        missing[cell] += 1 / factor ** 2;
        if (guess[i]) guessed[cell] = 1;
      }
    }
    return { hole, missing, guessed };
  }

  // What `decode` asks for logits: one prefill of the known tokens serves all steps of all fills.
  async predictor(tokens, hole, missing, guessed, fills) {
    const { layers, heads, head_dim: dim, attention } = this.about;
    const rows = [...tokens.keys()].filter((i) => hole[i] || attention !== "prefix");
    const known = [...tokens.keys()].filter((i) => !hole[i] && attention === "prefix");
    let [keys, values] = [new Float32Array(0), new Float32Array(0)];
    if (known.length) {
      const shape = [1, known.length];
      [keys, values] = await this.run("prefill", {
        tokens: this.int64(known.map((i) => tokens[i]), shape),
        positions: this.int64(known, shape),
        valid: this.bool(known.map(() => 1), shape),
      });
    }
    const slot = new Int32Array(tokens.length);
    rows.forEach((i, n) => { slot[i] = n; });
    const each = heads * known.length * dim; // numbers of a layer
    const repeated = (cache) => {
      const result = new Float32Array(layers * fills * each);
      for (let layer = 0; layer < layers; layer++) {
        for (let fill = 0; fill < fills; fill++) {
          result.set(cache.subarray(layer * each, (layer + 1) * each), (layer * fills + fill) * each);
        }
      }
      return new this.ort.Tensor("float32", result, [layers, fills, heads, known.length, dim]);
    };
    const shape = [fills, rows.length];
    const tiled = (list) => Array.from({ length: fills }, () => list).flat();
    const fixed = {
      positions: this.int64(tiled(rows), shape),
      valid: this.bool(tiled(rows.map(() => 1)), shape),
      hole: this.bool(tiled(rows.map((i) => hole[i])), shape),
      hint: this.int64(tiled(rows.map((i) => tokens[i])), shape),
      missing: this.float(tiled(rows.map((i) => missing[i])), shape),
      guessed: this.float(tiled(rows.map((i) => guessed[i])), shape),
      keys: repeated(keys),
      values: repeated(values),
      known: this.bool(tiled(known.map(() => 1)), [fills, known.length]),
    };
    return async (filled, masked) => {
      const asked = masked.flatMap((open, fill) => rows.filter((i) => open[i]).map((i) => fill * rows.length + slot[i]));
      const now = filled.flatMap((row) => rows.map((i) => row[i]));
      const [logits] = await this.run("step", { ...fixed, tokens: this.int64(now, shape), asked: this.int64(asked, [asked.length]) });
      return logits;
    };
  }

  // Pictures of rows of tokens in levels, not rounded.
  async draw(rows, region) {
    const { grid, resolution } = this.about;
    const size = resolution * resolution;
    const shape = [1, 1, resolution, resolution];
    const seen = {
      image: this.image(region.image),
      mask: this.bool(region.mask.data, shape),
      guess: this.bool(region.guess.map((value, i) => value & region.mask.data[i]), shape),
    };
    const pictures = [];
    for (const tokens of rows) {
      const [drawn] = await this.run("decoder", { ...seen, tokens: this.int64(tokens, [1, grid, grid]) });
      const planes = [0, 1, 2].map((c) => drawn.subarray(c * size, (c + 1) * size).map((value) => Math.fround(value + 1) * 127.5));
      pictures.push({ width: resolution, height: resolution, planes });
    }
    return pictures;
  }
}
