// The picture of a camera with an overlay, on which zones, lines and points are drawn with mouse, finger or
// keys. The server holds the drawing; this element shows it, and says what the hand did. All texts are set as
// text, never as markup.
import { h } from "vue";

const SVG = "http://www.w3.org/2000/svg";
const TAP_PX = 6; // a pointer that moves less is a tap
const DOUBLE_MS = 400;
const REACH_PX = { mouse: 10, pen: 14, touch: 22 };
const SILENT_MS = 4000; // without a word from the server for so long, the picture is not live

function svg(name, attributes, parent, text) {
  const one = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
  if (text !== undefined) one.textContent = text;
  parent?.append(one);
  return one;
}

function part(name, className, parent) {
  const one = document.createElement(name);
  one.className = className;
  parent.append(one);
  return one;
}

export default {
  props: { live: Object, drawing: Object, texts: Object, caption: String },
  emits: ["tap", "double", "drag", "keyed", "shown"],
  render() {
    return h("div", { class: "rp-picture" });
  },
  mounted() {
    const root = this.$el;
    this.canvas = part("canvas", "rp-picture-frame", root);
    this.canvas.setAttribute("role", "img");
    this.overlay = svg("svg", { class: "rp-picture-overlay", preserveAspectRatio: "none" }, root);
    const definitions = svg("defs", {}, this.overlay);
    this.hatch = `rp-hatch-${this.$.uid}`;
    const pattern = svg("pattern", { id: this.hatch, width: 12, height: 12, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, definitions);
    svg("rect", { width: 12, height: 12, fill: "#000", "fill-opacity": 0.35 }, pattern);
    svg("line", { x1: 0, y1: 0, x2: 0, y2: 12, stroke: "#E69F00", "stroke-width": 6, "stroke-opacity": 0.8 }, pattern);
    this.pattern = pattern;
    this.seen = svg("g", {}, this.overlay);
    this.drawn = svg("g", {}, this.overlay);
    this.notice = part("div", "rp-picture-notice", root);
    this.notice.setAttribute("role", "status");
    this.ages = [];
    this.heard = performance.now();
    for (const type of ["pointerdown", "pointermove", "pointerup", "pointercancel", "pointerleave"])
      this.overlay.addEventListener(type, (event) => this[type](event));
    this.overlay.addEventListener("keydown", (event) => this.keydown(event));
    this.overlay.addEventListener("contextmenu", (event) => this.editable() && event.preventDefault());
    this.resized = new ResizeObserver(() => this.redraw());
    this.resized.observe(root);
    this.watchdog = setInterval(() => this.showNotice(), 1000);
    this.redraw();
    this.load();
  },
  unmounted() {
    clearInterval(this.watchdog);
    this.resized.disconnect();
    this.bitmap?.close();
  },
  watch: {
    live() {
      this.heard = performance.now();
      if (!this.load()) this.redraw();
    },
    drawing(drawing) {
      const text = JSON.stringify(drawing); // each message has all of it, changed or not
      if (text === this.drawnText) return;
      this.drawnText = text;
      if (!this.down) this.dragged = null;
      this.redraw();
    },
  },
  methods: {
    // --- the picture -----------------------------------------------------------------------------------
    load() {
      const url = this.live?.url;
      if (!url || url === this.shown || this.loading) return false;
      this.loading = url;
      const live = this.live;
      fetch((window.path_prefix || "") + url, { credentials: "same-origin", cache: "no-store" })
        .then((answer) => (answer.ok ? answer.blob() : Promise.reject(new Error(`status ${answer.status}`))))
        .then((blob) => createImageBitmap(blob))
        .then((bitmap) => {
          this.bitmap?.close();
          this.bitmap = bitmap;
          this.shown = url;
          this.of = live;
          requestAnimationFrame(() => {
            this.redraw();
            if (live.at_ms) this.$emit("shown", { ms: Date.now() - live.at_ms, url });
          });
        })
        .catch(() => (this.failed = url))
        .finally(() => {
          this.loading = null;
          if (this.live?.url !== url) this.load();
        });
      return true;
    },
    paint() {
      if (!this.bitmap) return;
      const { width, height } = this.bitmap;
      if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
      this.canvas.getContext("2d").drawImage(this.bitmap, 0, 0);
    },
    silent() {
      return performance.now() - this.heard > SILENT_MS;
    },
    showNotice() {
      const live = this.live || {};
      const gone = this.silent() ? this.texts?.silent : live.notice;
      this.$el.classList.toggle("rp-picture-dead", Boolean(live.stale || this.silent()));
      this.$el.classList.toggle("rp-picture-late", Boolean(live.late));
      this.notice.textContent = gone || "";
      this.notice.hidden = !gone;
      if (live.missing && this.bitmap) {
        this.bitmap.close();
        this.bitmap = this.shown = null;
        this.canvas.getContext("2d").clearRect(0, 0, this.canvas.width, this.canvas.height);
      }
    },
    // --- the overlay -----------------------------------------------------------------------------------
    size() {
      const live = this.live || {};
      return [live.width || 16, live.height || 9];
    },
    redraw() {
      if (!this.overlay) return;
      this.paint();
      const [width, height] = this.size();
      this.$el.style.aspectRatio = `${width} / ${height}`;
      const wide = this.$el.clientWidth || 320;
      const tall = this.$el.clientHeight || (wide * height) / width;
      this.overlay.setAttribute("viewBox", `0 0 ${wide} ${tall}`);
      this.canvas.setAttribute("aria-label", this.caption || "");
      this.wide = wide;
      this.tall = tall;
      this.drawShapes();
      this.showNotice();
    },
    at([x, y]) {
      return [x * this.wide, y * this.tall];
    },
    label(parent, x, y, text, colour) {
      if (!text) return;
      const box = svg("g", { class: "rp-picture-label" }, parent);
      const words = svg("text", { x: x + 4, y: y + 14, fill: "#fff" }, box, text);
      let length = text.length * 7.2;
      try {
        length = words.getComputedTextLength() || length;
      } catch { /* not shown yet */ }
      const left = Math.max(0, Math.min(x, this.wide - length - 8));
      const overlaps = (other) => left < other.right && left + length + 8 > other.left && y < other.y + 19 && y + 19 > other.y;
      for (let hit = this.placed.find(overlaps); hit && hit.y + 38 < this.tall; hit = this.placed.find(overlaps)) y = hit.y + 19;
      this.placed.push({ left, right: left + length + 8, y });
      words.setAttribute("x", left + 4);
      words.setAttribute("y", y + 14);
      const back = svg("rect", { x: left, y, width: length + 8, height: 18, rx: 3, fill: colour, "fill-opacity": 0.9 });
      box.prepend(back);
    },
    drawSeen() {
      this.seen.replaceChildren();
      const live = (this.bitmap && this.of && this.live?.url && this.of.camera === this.live.camera && this.loading) ? this.of : this.live || {};
      if (live.stale || this.silent()) return;
      for (const one of live.objects || []) {
        const [x, y] = this.at(one.box.slice(0, 2));
        const [right, bottom] = this.at(one.box.slice(2));
        const colour = one.sure ? "#009E73" : "#E69F00";
        if (one.trail?.length > 1)
          svg("polyline", { points: one.trail.map((point) => this.at(point).join()).join(" "), class: "rp-picture-trail", stroke: colour }, this.seen);
        svg("rect", {
          x, y, width: Math.max(1, right - x), height: Math.max(1, bottom - y), class: "rp-picture-box",
          stroke: colour, "stroke-dasharray": one.sure ? "none" : "6 4", "data-track": one.track,
        }, this.seen);
        svg("circle", { cx: (x + right) / 2, cy: bottom, r: 3.5, fill: colour, stroke: "#000" }, this.seen);
        this.label(this.seen, x, Math.max(0, y - 18), one.text, one.sure ? "#00664B" : "#7A4E00");
      }
    },
    drawShapes() {
      this.placed = []; // labels, so that none covers another
      this.drawSeen();
      this.drawn.replaceChildren();
      const drawing = this.drawing || {};
      const blind = this.live?.blind || {};
      this.pattern.setAttribute("width", 12);
      this.overlay.style.touchAction = this.editable() ? "none" : "pan-y pinch-zoom";
      this.overlay.style.cursor = ["draw", "point"].includes(drawing.mode) ? "crosshair" : "default";
      this.overlay.setAttribute("tabindex", this.editable() ? "0" : "-1");
      this.overlay.setAttribute("role", this.editable() ? "application" : "presentation");
      if (this.editable()) this.overlay.setAttribute("aria-label", this.texts?.drawing || "");
      if (drawing.horizon) {
        const [from, to] = drawing.horizon.map((point) => this.at(point));
        svg("line", { x1: from[0], y1: from[1], x2: to[0], y2: to[1], class: "rp-picture-horizon" }, this.drawn);
      }
      for (const line of drawing.grid || [])
        svg("polyline", { points: line.map((point) => this.at(point).join()).join(" "), class: "rp-picture-grid" }, this.drawn);
      for (const shape of drawing.shapes || []) this.drawShape(shape, blind[shape.name]);
      for (const point of drawing.points || []) this.drawPoint(point);
    },
    corners(shape) {
      const dragged = this.dragged;
      return shape.corners.map((corner, index) => (dragged && dragged.shape === shape.id && dragged.corner === index ? dragged.at : corner));
    },
    drawShape(shape, blind) {
      const corners = this.corners(shape).map((corner) => this.at(corner));
      if (!corners.length) return;
      const points = corners.map((corner) => corner.join()).join(" ");
      const area = shape.kind === "zone" && shape.closed;
      const colour = shape.problem ? "#D55E00" : shape.selected ? "#fff" : shape.kind === "zone" ? "#56B4E9" : "#CC79A7";
      const look = {
        points, stroke: colour, "stroke-width": shape.selected ? 3 : 2, class: "rp-picture-shape", "data-shape": shape.name,
        "stroke-dasharray": shape.changed ? "9 5" : "none",
        fill: blind && area ? `url(#${this.hatch})` : area ? "#56B4E9" : "none", "fill-opacity": blind ? 1 : shape.selected ? 0.16 : 0.1,
      };
      svg(area ? "polygon" : "polyline", { ...look, stroke: "#000", "stroke-width": look["stroke-width"] + 2, "stroke-opacity": 0.5, fill: "none", class: "" }, this.drawn);
      svg(area ? "polygon" : "polyline", look, this.drawn);
      if (shape.kind === "line" && corners.length === 2) this.arrow(corners, colour);
      const top = corners.reduce((best, corner) => (corner[1] + 0.3 * corner[0] < best[1] + 0.3 * best[0] ? corner : best));
      const text = [shape.label ?? shape.name, blind].filter(Boolean).join(" · ");
      this.label(this.drawn, top[0] + 4, Math.min(this.tall - 18, top[1] + 4), text, shape.problem ? "#8A3A00" : blind ? "#7A4E00" : shape.kind === "zone" ? "#00507F" : "#7A3460");
      if (!shape.selected || !this.editable()) return;
      corners.forEach(([x, y], index) =>
        svg("circle", {
          cx: x, cy: y, r: this.drawing.corner === index ? 9 : 7, class: "rp-picture-corner",
          fill: this.drawing.corner === index ? "#E69F00" : "#fff", "data-corner": index,
        }, this.drawn));
      if (!shape.closed && shape.kind === "zone") svg("circle", { cx: corners[0][0], cy: corners[0][1], r: 12, class: "rp-picture-first" }, this.drawn);
    },
    arrow([[x, y], [toX, toY]], colour) {
      // left and right are as seen along the line: a small arrow at its middle points to the right side
      const [midX, midY] = [(x + toX) / 2, (y + toY) / 2];
      const length = Math.hypot(toX - x, toY - y) || 1;
      const [rightX, rightY] = [-(toY - y) / length, (toX - x) / length];
      svg("line", { x1: midX, y1: midY, x2: midX + 22 * rightX, y2: midY + 22 * rightY, stroke: colour, "stroke-width": 2 }, this.drawn);
      this.label(this.drawn, midX + 24 * rightX - 8, midY + 24 * rightY - 9, this.texts?.right || "R", "#7A3460");
      this.label(this.drawn, midX - 24 * rightX - 8, midY - 24 * rightY - 9, this.texts?.left || "L", "#7A3460");
    },
    drawPoint(point) {
      const [x, y] = this.at(this.dragged?.shape === "point" && this.dragged.corner === point.n - 1 ? this.dragged.at : [point.x, point.y]);
      if (point.fitted) {
        const [toX, toY] = this.at(point.fitted);
        svg("line", { x1: x, y1: y, x2: toX, y2: toY, stroke: "#D55E00", "stroke-width": 2 }, this.drawn);
        svg("circle", { cx: toX, cy: toY, r: 3, fill: "#D55E00" }, this.drawn);
      }
      svg("circle", { cx: x, cy: y, r: 8, class: "rp-picture-corner", fill: point.selected ? "#E69F00" : "#F0E442", "data-point": point.n }, this.drawn);
      svg("line", { x1: x - 4, y1: y, x2: x + 4, y2: y, stroke: "#000" }, this.drawn);
      svg("line", { x1: x, y1: y - 4, x2: x, y2: y + 4, stroke: "#000" }, this.drawn);
      this.label(this.drawn, x + 10, y - 9, point.text, "#333");
    },
    // --- the hand --------------------------------------------------------------------------------------
    editable() {
      return Boolean(this.drawing?.mode && this.drawing.mode !== "view");
    },
    place(event) {
      const frame = this.overlay.getBoundingClientRect();
      const share = (value, from, length) => Math.min(1, Math.max(0, (value - from) / (length || 1)));
      return [share(event.clientX, frame.left, frame.width), share(event.clientY, frame.top, frame.height)];
    },
    hit(event) {
      // What is under the pointer: a corner of the selected shape, a surveyed point, one of its edges, a shape.
      const reach = REACH_PX[event.pointerType] || 10;
      const point = this.at(this.place(event));
      const near = ([x, y]) => Math.hypot(x - point[0], y - point[1]);
      const marks = (this.drawing?.points || []).map((one) => near(this.at([one.x, one.y])));
      const mark = marks.indexOf(Math.min(...marks));
      if (mark >= 0 && marks[mark] <= reach + 4) return { shape: "point", corner: mark };
      const shape = (this.drawing?.shapes || []).find((one) => one.selected);
      if (!shape || !shape.corners.length) return {};
      const corners = shape.corners.map((corner) => this.at(corner));
      const far = corners.map(near);
      const corner = far.indexOf(Math.min(...far));
      if (far[corner] <= reach) return { shape: shape.id, corner };
      const ends = shape.closed && shape.kind === "zone" ? corners.length : 0;
      for (let edge = 0; edge < ends; edge++) {
        const [x, y] = corners[edge];
        const [toX, toY] = corners[(edge + 1) % corners.length];
        const square = (toX - x) ** 2 + (toY - y) ** 2 || 1;
        const along = ((point[0] - x) * (toX - x) + (point[1] - y) * (toY - y)) / square;
        if (along > 0 && along < 1 && near([x + along * (toX - x), y + along * (toY - y)]) <= reach) return { shape: shape.id, edge };
      }
      return {};
    },
    pointerdown(event) {
      if (event.button > 0 && event.pointerType === "mouse") return;
      this.down = { x: event.clientX, y: event.clientY, id: event.pointerId, ...this.hit(event) };
      if (!this.editable()) return;
      this.overlay.focus({ preventScroll: true });
      if (this.down.corner !== undefined) this.overlay.setPointerCapture(event.pointerId);
    },
    pointermove(event) {
      if (!this.down || this.down.id !== event.pointerId || this.down.corner === undefined || !this.editable()) {
        if (this.editable() && event.pointerType === "mouse") {
          const under = this.hit(event);
          this.overlay.style.cursor = under.corner !== undefined ? "move" : under.edge !== undefined ? "copy" : "crosshair";
        }
        return;
      }
      if (!this.dragged && Math.hypot(event.clientX - this.down.x, event.clientY - this.down.y) < TAP_PX) return;
      this.dragged = { shape: this.down.shape, corner: this.down.corner, at: this.place(event) };
      requestAnimationFrame(() => this.drawShapes());
    },
    pointerup(event) {
      const down = this.down;
      this.down = null;
      if (!down || down.id !== event.pointerId) return;
      const [x, y] = this.place(event);
      if (this.dragged) {
        const dragged = this.dragged;
        this.$emit("drag", { shape: down.shape, corner: down.corner, x, y });
        setTimeout(() => {
          if (this.dragged !== dragged || this.down) return; // the server has put it back
          this.dragged = null;
          this.drawShapes();
        }, 1000);
        return;
      }
      if (Math.hypot(event.clientX - down.x, event.clientY - down.y) > 2 * TAP_PX) return;
      const last = this.tapped;
      const again = last && event.timeStamp - last.time < DOUBLE_MS && Math.hypot(event.clientX - last.x, event.clientY - last.y) < 2 * TAP_PX;
      this.tapped = again ? null : { time: event.timeStamp, x: event.clientX, y: event.clientY };
      if (again) this.$emit("double", { x, y });
      else this.$emit("tap", { x, y, shape: down.shape ?? null, corner: down.corner ?? null, edge: down.edge ?? null });
    },
    pointercancel() {
      this.down = this.dragged = null;
      this.drawShapes();
    },
    pointerleave() {},
    keydown(event) {
      if (!this.editable()) return;
      const undo = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z";
      const known = ["Escape", "Enter", "Backspace", "Delete", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"];
      if (!undo && !known.includes(event.key) && !"[]".includes(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
      this.$emit("keyed", { key: undo ? "undo" : event.key, fast: event.shiftKey });
    },
  },
};
