// Draw pond and creek levels of the last two tides as two SVG paths.

const HEIGHT = 240;
const WIDTH = 800;

function toPath(points, maxMm) {
  const first = points[0].time;
  const span = points[points.length - 1].time - first || 1;
  return points
    .map((p, i) => {
      const x = ((p.time - first) / span) * WIDTH;
      const y = HEIGHT - (p.mm / maxMm) * HEIGHT;
      return `${i === 0 ? "M" : "L"}${x.toFixed(1)},${y.toFixed(1)}`;
    })
    .join("");
}

/** Thin a long series without losing its peaks: keep the lowest and the highest point of every bucket. */
function minMaxThin(points, buckets) {
  const size = Math.ceil(points.length / buckets);
  const kept = [];
  for (let start = 0; start < points.length; start += size) {
    const part = points.slice(start, start + size).sort((a, b) => a.mm - b.mm);
    kept.push(...[part[0], part[part.length - 1]].sort((a, b) => a.time - b.time));
  }
  return kept;
}

export { toPath, minMaxThin };
