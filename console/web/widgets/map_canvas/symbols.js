// Symbols by kind (shape), state (colour and badge) and age (faded, dashed), drawn once and kept.
export const COLOURS = {
  online: "#009E73", degraded: "#E69F00", silent: "#D55E00", offline: "#D55E00", stopped: "#6B7280",
  unknown: "#6B7280", critical: "#D55E00", warning: "#E69F00", info: "#0072B2", handled: "#6B7280",
};
const BADGES = { degraded: "!", silent: "?", offline: "×", stopped: "–", unknown: "?" };
const SIZE = 36, HALF = SIZE / 2, STEPS = 24;

// Each draws a path of about 9 pixels around 0, 0; "up" is the direction of travel.
const SHAPES = {
  boat: (c) => { c.moveTo(0, -11); c.quadraticCurveTo(6, -5, 5.5, 8); c.lineTo(-5.5, 8); c.quadraticCurveTo(-6, -5, 0, -11); },
  vessel: (c) => { c.moveTo(0, -9); c.lineTo(5, 7); c.lineTo(0, 4); c.lineTo(-5, 7); },
  drone: (c) => {
    for (const [x, y] of [[-6, -6], [6, -6], [6, 6], [-6, 6]]) { c.moveTo(x + 3.4, y); c.arc(x, y, 3.4, 0, 7); }
    c.moveTo(0, -5); c.lineTo(5, 0); c.lineTo(0, 5); c.lineTo(-5, 0);
  },
  post: (c) => c.rect(-7.5, -7.5, 15, 15),
  metro: (c) => c.roundRect(-9, -6.5, 18, 13, 6.5),
  watch: (c) => { c.moveTo(0, -9.5); c.lineTo(9, 7); c.lineTo(-9, 7); },
  person: (c) => c.arc(0, 0, 7, 0, 7),
  point: (c) => c.arc(0, 0, 5, 0, 7),
  alert: (c) => {
    for (let i = 0; i < 8; i++) {
      const turn = Math.PI / 8 + (i * Math.PI) / 4;
      c[i ? "lineTo" : "moveTo"](11 * Math.cos(turn), 11 * Math.sin(turn));
    }
  },
};
const POINTED = new Set(["boat", "vessel"]);
const kept = new Map();

// The picture of an object, SIZE pixels wide, for `drawImage` at its place minus HALF.
export function symbol(object, dark, scale) {
  const turn = POINTED.has(object.symbol) && object.course !== null
    ? Math.round((object.course / 360) * STEPS) % STEPS : 0;
  const key = `${object.symbol}|${object.state}|${object.stale}|${turn}|${dark}|${scale}`;
  let picture = kept.get(key);
  if (!picture) {
    if (kept.size > 3000) kept.clear();
    kept.set(key, picture = draw(object, turn, dark, scale));
  }
  return picture;
}

function draw(object, turn, dark, scale) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIZE * scale;
  const c = canvas.getContext("2d");
  c.scale(scale, scale);
  c.translate(HALF, HALF);
  c.save();
  c.rotate((turn / STEPS) * 2 * Math.PI);
  c.beginPath();
  (SHAPES[object.symbol] ?? SHAPES.person)(c);
  c.closePath();
  c.lineJoin = "round";
  const colour = COLOURS[object.state] ?? COLOURS.unknown;
  c.strokeStyle = dark ? "#0b1016" : "#ffffff";
  c.lineWidth = 4.5;
  c.stroke();
  if (object.stale) {
    c.fillStyle = dark ? "#2a323c" : "#f2f2f2";
    c.setLineDash([3, 2.5]);
  } else c.fillStyle = colour;
  c.fill();
  c.strokeStyle = object.stale ? colour : dark ? "#f4f6f8" : "#10161d";
  c.lineWidth = object.stale ? 2 : 1.4;
  c.stroke();
  c.restore();
  const mark = object.symbol === "alert" ? { critical: "!!", warning: "!", info: "i", handled: "✓" }[object.state] : null;
  if (mark) text(c, mark, 0, 0.5, "#ffffff", "bold 12px sans-serif");
  const badge = object.symbol === "alert" ? null : BADGES[object.state];
  if (badge) {
    c.beginPath();
    c.arc(9, -9, 6.2, 0, 7);
    c.fillStyle = dark ? "#f4f6f8" : "#10161d";
    c.fill();
    text(c, badge, 9, -8.7, dark ? "#10161d" : "#ffffff", "bold 11px sans-serif");
  }
  return canvas;
}

function text(c, what, x, y, colour, font) {
  c.font = font;
  c.textAlign = "center";
  c.textBaseline = "middle";
  c.fillStyle = colour;
  c.fillText(what, x, y);
}

const labels = new Map();

// A text with a halo, left-aligned in its middle at x, y. Drawn once and kept: strokes of letters are slow.
export function halo(c, what, x, y, dark, scale, bold = false) {
  const key = `${what}|${dark}|${scale}|${bold}`;
  let picture = labels.get(key);
  if (!picture) {
    if (labels.size > 4000) labels.clear();
    labels.set(key, picture = drawLabel(what.length > 60 ? `${what.slice(0, 59)}…` : what, dark, scale, bold));
  }
  c.drawImage(picture, x - 3, y - 10, picture.width / scale, picture.height / scale);
}

function drawLabel(what, dark, scale, bold) {
  const canvas = document.createElement("canvas"), c = canvas.getContext("2d");
  const font = bold ? "bold 12.5px sans-serif" : "12px sans-serif";
  c.font = font;
  canvas.width = Math.ceil((c.measureText(what).width + 7) * scale);
  canvas.height = 20 * scale;
  c.scale(scale, scale);
  c.font = font;
  c.textBaseline = "middle";
  c.lineJoin = "round";
  c.lineWidth = 3.5;
  c.strokeStyle = dark ? "#0b1016" : "#ffffff";
  c.strokeText(what, 3, 10);
  c.fillStyle = dark ? "#f4f6f8" : "#10161d";
  c.fillText(what, 3, 10);
  return canvas;
}

let hatching;
// Hatched: not seen.
export function hatch(c) {
  if (!hatching) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 6;
    const t = tile.getContext("2d");
    t.strokeStyle = "rgba(213, 94, 0, 0.85)";
    t.lineWidth = 1.4;
    t.beginPath();
    t.moveTo(-1, 7); t.lineTo(7, -1);
    t.moveTo(-1, 1); t.lineTo(1, -1);
    t.moveTo(5, 7); t.lineTo(7, 5);
    t.stroke();
    hatching = tile;
  }
  return c.createPattern(hatching, "repeat");
}
