// Gaussian blur as SciPy's `gaussian_filter` with mode "nearest": to four standard deviations, edges repeated.

export function blurPlane(plane, { width, height }, sigma) {
  const reach = Math.trunc(4 * sigma + 0.5);
  const raw = Array.from({ length: 2 * reach + 1 }, (_, i) => Math.exp((-0.5 * (i - reach) ** 2) / sigma ** 2));
  const total = raw.reduce((sum, weight) => sum + weight, 0);
  const weights = raw.map((weight) => weight / total);
  const pass = (from, vertical) => {
    const result = new Float32Array(from.length);
    const most = (vertical ? height : width) - 1;
    for (let row = 0, i = 0; row < height; row++) {
      for (let column = 0; column < width; column++, i++) {
        let sum = 0;
        const place = vertical ? row : column;
        for (let k = 0; k < weights.length; k++) {
          const at = Math.min(Math.max(place + k - reach, 0), most);
          sum += weights[k] * from[vertical ? at * width + column : row * width + at];
        }
        result[i] = sum;
      }
    }
    return result;
  };
  return pass(pass(plane, true), false);
}
