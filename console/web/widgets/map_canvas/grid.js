// A grid of latitude and longitude, where there are no tiles.
const STEPS = [10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];
const LEAST = 110; // pixels between two lines

export function drawGrid(L, map, c, bounds, dark) {
  const low = map.layerPointToLatLng([bounds.min.x, bounds.max.y]), high = map.layerPointToLatLng([bounds.max.x, bounds.min.y]);
  const perDegree = bounds.getSize().x / (high.lng - low.lng);
  const step = STEPS.findLast((one) => one * perDegree >= LEAST) ?? STEPS[0];
  const digits = Math.max(0, Math.ceil(-Math.log10(step)));
  c.save();
  c.lineWidth = 1;
  c.strokeStyle = dark ? "rgba(255, 255, 255, 0.10)" : "rgba(16, 22, 29, 0.12)";
  c.fillStyle = dark ? "rgba(255, 255, 255, 0.5)" : "rgba(16, 22, 29, 0.55)";
  c.font = "11px sans-serif";
  c.textAlign = "left";
  c.textBaseline = "top";
  const corner = map.containerPointToLayerPoint([0, 0]);
  for (let lon = Math.ceil(low.lng / step) * step; lon <= high.lng; lon += step) {
    const { x } = map.latLngToLayerPoint([low.lat, lon]);
    line(c, x, bounds.min.y, x, bounds.max.y);
    c.fillText(`${Math.abs(lon).toFixed(digits)}°${lon < 0 ? "W" : "E"}`, x + 3, corner.y + 4);
  }
  for (let lat = Math.ceil(low.lat / step) * step; lat <= high.lat; lat += step) {
    const { y } = map.latLngToLayerPoint([lat, low.lng]);
    line(c, bounds.min.x, y, bounds.max.x, y);
    c.fillText(`${Math.abs(lat).toFixed(digits)}°${lat < 0 ? "S" : "N"}`, corner.x + 4, y + 3);
  }
  c.restore();
}

function line(c, x, y, toX, toY) {
  c.beginPath();
  c.moveTo(x, y);
  c.lineTo(toX, toY);
  c.stroke();
}
