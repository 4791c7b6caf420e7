// All objects of a map on one canvas, drawn in one pass: at each message, each second, and after moving.
import { clusters, drawCluster } from "./clusters.js";
import { drawGrid } from "./grid.js";
import { COLOURS, halo, hatch, symbol } from "./symbols.js";

const HALF = 18;
const FADE_S = 900; // a stale position is faintest from this age on
const LABELS_FROM_ZOOM = 14;
const LABEL_CELL = 22;

export const ObjectLayer = (L) => L.Renderer.extend({
  options: { padding: 0.25 },

  initialize(options) {
    L.Util.setOptions(this, options);
    L.Util.stamp(this);
    this._layers = {};
    this.byNumber = new Map();
    this.byId = new Map();
    this.lines = [];
    this.stats = { draws: 0, drawMs: [], toScreenMs: [] };
  },

  getEvents() {
    return { ...L.Renderer.prototype.getEvents.call(this), move: this._onMove };
  },

  _initContainer() {
    this._container = document.createElement("canvas");
    this._container.setAttribute("role", "img");
    this._container.setAttribute("aria-hidden", "true");
    this._context = this._container.getContext("2d");
  },

  _destroyContainer() {
    cancelAnimationFrame(this._frame);
    this._container.remove();
  },

  _updatePaths() {},

  _update() {
    if (this._map._animatingZoom && this._bounds) return;
    L.Renderer.prototype._update.call(this);
    const size = this._bounds.getSize();
    this._scale = Math.min(window.devicePixelRatio || 1, 2);
    L.DomUtil.setPosition(this._container, this._bounds.min);
    const [width, height] = [size.x * this._scale, size.y * this._scale];
    if (this._container.width !== width || this._container.height !== height) {
      this._container.width = width;
      this._container.height = height;
      this._container.style.width = `${size.x}px`;
      this._container.style.height = `${size.y}px`;
    }
    this.draw();
  },

  _onMove() {
    // While dragging the browser moves the canvas; it is drawn again only where its edge comes into view.
    const map = this._map;
    if (map._animatingZoom || !this._bounds) return;
    const corner = map.containerPointToLayerPoint([0, 0]);
    const view = L.bounds(corner, corner.add(map.getSize()));
    if (!this._bounds.contains(view)) this._update();
  },

  setDark(dark) {
    if (dark !== this.dark) { this.dark = dark; this.later(); }
  },

  take(message) {
    if (message.reset) { this.byNumber.clear(); this.byId.clear(); this.selected = null; }
    for (const n of message.gone ?? []) {
      this.byId.delete(this.byNumber.get(n)?.id);
      this.byNumber.delete(n);
    }
    for (const [n, id, label, kind, state, stale, error, blind, emphasis, note] of message.set ?? []) {
      let object = this.byNumber.get(n);
      if (!object) this.byNumber.set(n, object = { course: null, x: 0, y: 0 });
      Object.assign(object, { n, id, label, symbol: kind, state, stale, error, blind, emphasis, note });
      this.byId.set(id, object);
    }
    const move = message.move ?? [], now = performance.now();
    for (let i = 0; i < move.length; i += 5) {
      const object = this.byNumber.get(move[i]);
      if (!object) continue;
      object.lat = move[i + 1] / 1e6;
      object.lon = move[i + 2] / 1e6;
      object.course = move[i + 3] < 0 ? null : move[i + 3];
      object.measured = now - move[i + 4] * 100;
      const world = L.CRS.EPSG3857.latLngToPoint(L.latLng(object.lat, object.lon), 0);
      object.wx = world.x;
      object.wy = world.y;
    }
    if (message.lines) this.lines = message.lines;
    if ("select" in message) this.selected = message.select;
    if ("past" in message) this.past = message.past;
    if (message.committed) this.committed = message.committed;
    this.later();
  },

  ageAll() {
    if ([...this.byNumber.values()].some((object) => object.stale)) this.later();
  },

  later() {
    this._frame ??= requestAnimationFrame(() => {
      this._frame = null;
      if (this._map && !this._map._animatingZoom) this.draw();
    });
  },

  draw() {
    const began = performance.now(), map = this._map, c = this._context, b = this._bounds;
    if (!b) return;
    c.setTransform(this._scale, 0, 0, this._scale, 0, 0);
    c.clearRect(0, 0, this._container.width, this._container.height);
    c.translate(-b.min.x, -b.min.y);
    if (this.options.grid) drawGrid(L, map, c, b, this.dark);
    const zoom = map.getZoom(), world = 2 ** zoom, origin = map.getPixelOrigin();
    const visible = [];
    for (const object of this.byNumber.values()) {
      if (object.wx === undefined) continue;
      const x = (object.x = object.wx * world - origin.x), y = (object.y = object.wy * world - origin.y);
      object.shown = x > b.min.x - 40 && x < b.max.x + 40 && y > b.min.y - 40 && y < b.max.y + 40;
      if (object.shown) visible.push(object);
    }
    this.drawLines(c);
    const together = zoom < this.options.clusterBelow ? clusters(visible, this.selected) : { groups: [], single: visible };
    this.groups = together.groups;
    const single = together.single.sort((one, two) => one.emphasis - two.emphasis || one.n - two.n);
    for (const object of single) this.drawGround(c, object, world);
    for (const group of this.groups) drawCluster(c, group, this.dark);
    for (const object of single) this.drawSymbol(c, object, began);
    this.drawLabels(c, single, zoom, began);
    this.single = single;
    this.keepStats(began);
  },

  keepStats(began) {
    const stats = this.stats, keep = (list, value) => { list.push(value); if (list.length > 2000) list.shift(); };
    stats.draws += 1;
    keep(stats.drawMs, performance.now() - began);
    if (this.committed) {
      const committed = this.committed;
      this.committed = null;
      requestAnimationFrame(() => keep(stats.toScreenMs, Date.now() - committed));
    }
  },

  drawLines(c) {
    this.lineLabels = [];
    c.lineCap = c.lineJoin = "round";
    for (const line of this.lines) {
      const points = line.points.map(([lat, lon]) => this._map.latLngToLayerPoint([lat, lon]));
      if (points.length < 2) continue;
      c.beginPath();
      points.forEach((point, i) => c[i ? "lineTo" : "moveTo"](point.x, point.y));
      c.setLineDash([]);
      c.strokeStyle = this.dark ? "rgba(11, 16, 22, 0.8)" : "rgba(255, 255, 255, 0.9)";
      c.lineWidth = line.width + 2.5;
      c.stroke();
      c.setLineDash(line.dash ? [7, 6] : []);
      c.strokeStyle = line.colour;
      c.lineWidth = line.width;
      c.stroke();
      c.setLineDash([]);
      const middle = points[Math.floor(points.length / 2)], before = points[Math.ceil(points.length / 2) - 1];
      const long = Math.hypot(points[0].x - points.at(-1).x, points[0].y - points.at(-1).y) > 90;
      if (line.label && long) this.lineLabels.push([line.label, (middle.x + before.x) / 2 + 6, (middle.y + before.y) / 2]);
    }
  },

  // The circle of its error, and where it is blind.
  drawGround(c, object, world) {
    const important = object.id === this.selected || object.symbol === "alert";
    if (object.error) {
      const metre = (256 * world) / (40075016.7 * Math.cos((object.lat * Math.PI) / 180));
      const radius = object.error * metre;
      if (radius > (important ? 3 : 20) && radius < 6000) {
        c.beginPath();
        c.arc(object.x, object.y, radius, 0, 7);
        c.fillStyle = COLOURS[object.state] ?? COLOURS.unknown;
        c.globalAlpha = important ? 0.16 : 0.07;
        c.fill();
        c.globalAlpha = important ? 0.9 : 0.45;
        c.strokeStyle = c.fillStyle;
        c.lineWidth = important ? 1.6 : 1;
        c.setLineDash([5, 4]);
        c.stroke();
        c.setLineDash([]);
        c.globalAlpha = 1;
      }
    }
    for (const [bearing, width] of object.blind ?? []) {
      const all = bearing === null, middle = ((bearing ?? 0) - 90) * Math.PI / 180, half = width * Math.PI / 360;
      c.beginPath();
      if (!all) c.moveTo(object.x, object.y);
      c.arc(object.x, object.y, all ? 21 : 38, all ? 0 : middle - half, all ? 7 : middle + half);
      if (all) c.arc(object.x, object.y, 11, 7, 0, true);
      c.closePath();
      c.fillStyle = hatch(c);
      c.fill("evenodd");
      c.strokeStyle = "#D55E00";
      c.lineWidth = 1;
      c.stroke();
    }
  },

  drawSymbol(c, object, now) {
    if (object.stale) c.globalAlpha = 0.85 - 0.45 * Math.min((now - object.measured) / 1000 / FADE_S, 1);
    c.drawImage(symbol(object, this.dark, this._scale), object.x - HALF, object.y - HALF, 2 * HALF, 2 * HALF);
    c.globalAlpha = 1;
    if (object.id === this.selected || object.id === this.focused || object.emphasis > 1) {
      c.beginPath();
      c.arc(object.x, object.y, 17, 0, 7);
      c.strokeStyle = object.id === this.focused ? "#CC79A7" : this.dark ? "#56B4E9" : "#0072B2";
      c.lineWidth = object.id === this.selected ? 3.5 : 2;
      c.setLineDash(object.id === this.focused ? [4, 3] : []);
      c.stroke();
      c.setLineDash([]);
    }
  },

  drawLabels(c, objects, zoom, now) {
    const taken = new Set();
    for (let i = objects.length - 1; i >= 0; i--) {
      const object = objects[i];
      const important = object.emphasis > 0 || object.id === this.selected || object.id === this.focused;
      if (!important && zoom < LABELS_FROM_ZOOM) continue;
      const age = object.stale && object.measured !== undefined ? ` · ${this.age((now - object.measured) / 1000)}` : "";
      const label = object.label + age + (important && object.note ? ` · ${object.note}` : "");
      if (!label) continue;
      const row = Math.round(object.y / LABEL_CELL), from = Math.floor(object.x / 60);
      const to = Math.floor((object.x + 14 + label.length * 7) / 60), cells = [];
      for (let column = from; column <= to; column++) cells.push(`${column}|${row}`);
      if (cells.some((cell) => taken.has(cell)) && object.id !== this.selected) continue;
      for (const cell of cells) taken.add(cell);
      halo(c, label, object.x + 14, object.y, this.dark, this._scale, important);
    }
    for (const [label, x, y] of this.lineLabels) halo(c, label, x, y, this.dark, this._scale, true);
  },

  age(seconds) {
    const texts = this.options.texts;
    return seconds < 90 ? texts.seconds.replace("{n}", Math.round(seconds))
      : seconds < 5400 ? texts.minutes.replace("{n}", Math.round(seconds / 60))
      : texts.hours.replace("{n}", Math.round(seconds / 3600));
  },

  // The object or cluster within ``reach`` pixels of a layer point.
  hit(point, reach) {
    let best = null, least = reach * reach;
    for (const object of this.single ?? []) {
      const far = (object.x - point.x) ** 2 + (object.y - point.y) ** 2 - (object.symbol === "alert" ? 40 : 0);
      if (far <= least) { best = object; least = far; }
    }
    if (best) return best;
    const group = (this.groups ?? []).find((one) => (one.x - point.x) ** 2 + (one.y - point.y) ** 2 < one.radius ** 2);
    return group ? { cluster: true, latlng: this._map.layerPointToLatLng([group.x, group.y]) } : null;
  },

  // The next object by its distance from the middle of the map, for the keyboard.
  step(way) {
    const middle = this._map.latLngToLayerPoint(this._map.getCenter());
    const near = (this.single ?? []).filter((object) => object.shown)
      .sort((one, two) => Math.hypot(one.x - middle.x, one.y - middle.y) - Math.hypot(two.x - middle.x, two.y - middle.y));
    if (!near.length) return null;
    const place = near.findIndex((object) => object.id === this.focused);
    const found = near[(place + way + near.length) % near.length];
    this.focused = found.id;
    this.later();
    return found;
  },
});
