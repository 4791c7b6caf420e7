// Objects that would lie on each other are drawn as one circle with their number and their states.
import { COLOURS } from "./symbols.js";

const CELL = 46, LEAST = 4;

export function clusters(visible, selected) {
  const cells = new Map(), single = [], groups = [];
  for (const object of visible) {
    if (object.emphasis > 0 || object.symbol === "alert" || object.id === selected) { single.push(object); continue; }
    const key = `${Math.floor(object.x / CELL)}|${Math.floor(object.y / CELL)}`;
    const cell = cells.get(key);
    if (cell) cell.push(object); else cells.set(key, [object]);
  }
  for (const cell of cells.values()) {
    if (cell.length < LEAST) { single.push(...cell); continue; }
    const states = new Map();
    let x = 0, y = 0;
    for (const object of cell) {
      x += object.x;
      y += object.y;
      const state = object.stale && object.state === "online" ? "unknown" : object.state;
      states.set(state, (states.get(state) ?? 0) + 1);
    }
    groups.push({ x: x / cell.length, y: y / cell.length, count: cell.length, states,
      radius: 11 + 2.2 * Math.log2(cell.length) });
  }
  return { groups, single };
}

export function drawCluster(c, group, dark) {
  c.beginPath();
  c.arc(group.x, group.y, group.radius, 0, 7);
  c.fillStyle = dark ? "rgba(20, 27, 35, 0.92)" : "rgba(255, 255, 255, 0.92)";
  c.fill();
  let from = -Math.PI / 2;
  c.lineWidth = 5;
  for (const [state, count] of group.states) {
    const to = from + (count / group.count) * 2 * Math.PI;
    c.beginPath();
    c.arc(group.x, group.y, group.radius - 2, from, to);
    c.strokeStyle = COLOURS[state] ?? COLOURS.unknown;
    c.stroke();
    from = to;
  }
  c.font = "bold 12px sans-serif";
  c.textAlign = "center";
  c.textBaseline = "middle";
  c.fillStyle = dark ? "#f4f6f8" : "#10161d";
  c.fillText(group.count, group.x, group.y + 0.5);
}
