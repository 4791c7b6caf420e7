"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const log = $("log"), entries = log ? [...log.querySelectorAll("button")] : [];
  const times = entries.map((button) => Number(button.dataset.t));
  const map = $("map"), end = data.duration;
  const speeds = $("speed") ? [...$("speed").options].map((option) => Number(option.value)) : [1];
  let now = 0, playing = false, drawnAt = 0;

  // tracks: differences in tenths of a second and decimetres to numbers in seconds and metres
  const unpack = (steps) => {
    const track = { t: [], x: [], y: [] };
    let t = 0, x = 0, y = 0;
    for (let i = 0; i < steps.length; i += 3) {
      track.t.push((t += steps[i]) / 10); track.x.push((x += steps[i + 1]) / 10); track.y.push((y += steps[i + 2]) / 10);
    }
    return track;
  };
  const objects = data.objects.map((one) => ({ ...one, truth: unpack(one.truth), said: unpack(one.said) }));
  const last = (list, t) => { // place of the last one that is not later; -1
    let low = 0, high = list.length;
    while (low < high) { const mid = (low + high) >> 1; if (list[mid] <= t) low = mid + 1; else high = mid; }
    return low - 1;
  };
  const GONE_S = 15;
  const truthAt = (one, t) => {
    const { t: ts, x, y } = one.truth, i = last(ts, t);
    if (i < 0) return null;
    if (ts.length === 1) return { x: x[0], y: y[0], speed: 0, course: null };
    if (i === ts.length - 1) return t - ts[i] > 1.5 && end - ts[i] > 3 ? null : { x: x[i], y: y[i], speed: 0, course: null };
    const span = ts[i + 1] - ts[i], share = span > 0 ? (t - ts[i]) / span : 0;
    const dx = x[i + 1] - x[i], dy = y[i + 1] - y[i];
    return {
      x: x[i] + share * dx, y: y[i] + share * dy, speed: span > 0 ? Math.hypot(dx, dy) / span : 0,
      course: dx || dy ? Math.atan2(dx, dy) : null,
    };
  };
  const saidAt = (one, t) => {
    const i = last(one.said.t, t);
    return i < 0 ? null : { x: one.said.x[i], y: one.said.y[i], age: t - one.said.t[i], error: one.error[i][0], trust: one.error[i][1] };
  };
  const stateAt = (one, t) => {
    let found = "";
    for (const [from, state] of one.states) if (from / 10 <= t) found = state;
    return found;
  };
  const focus = objects.find((one) => one.name === data.focus) ?? null;

  // the map
  const others = objects.filter((one) => one.device || one.kind !== "vessel"); // ships that pass may be outside
  const main = others.length ? others : objects;
  const context = map?.getContext("2d");
  let scale = 1, middle = { x: 0, y: 0 };
  let colours = {};
  const colour = (name) => (colours[name] ??= getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  let follows = Boolean(focus);
  const frame = (xs, ys, least) => { // puts all of them into the picture, at least so many metres
    const box = (list) => list.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
    const [[left, right], [low, high]] = [box(xs), box(ys)];
    middle = { x: (left + right) / 2, y: (low + high) / 2 };
    scale = Math.min((map.clientWidth - 140) / Math.max(right - left, least), (map.clientHeight - 110) / Math.max(high - low, least));
  };
  const follow = () => {
    const there = main.map((one) => truthAt(one, now) ?? saidAt(one, now)).filter((at) => at);
    if (there.length) frame(there.map((at) => at.x), there.map((at) => at.y), 60);
  };
  const setFollows = (on) => { follows = on; $("follow").setAttribute("aria-pressed", String(on)); };
  const fit = () => {
    const xs = [], ys = [];
    for (const one of main) for (const track of [one.truth, one.said]) { xs.push(...track.x); ys.push(...track.y); }
    frame(xs, ys, 40);
  };
  const to = (x, y) => [map.clientWidth / 2 + (x - middle.x) * scale, map.clientHeight / 2 - (y - middle.y) * scale];
  const NICE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000];

  const shape = (one, x, y, course) => {
    const c = context;
    c.beginPath();
    if (one.kind === "person") { c.arc(x, y - 6, 4, 0, 7); c.rect(x - 3.5, y - 2, 7, 11); }
    else if (/boat|vessel|ship/.test(one.kind)) {
      const a = course ?? 0, point = (r, b) => [x + r * Math.sin(a + b), y - r * Math.cos(a + b)];
      c.moveTo(...point(12, 0)); c.lineTo(...point(9, 2.5)); c.lineTo(...point(5, Math.PI)); c.lineTo(...point(9, -2.5)); c.closePath();
    } else if (/drone/.test(one.kind)) { c.moveTo(x, y - 9); c.lineTo(x + 9, y); c.lineTo(x, y + 9); c.lineTo(x - 9, y); c.closePath(); }
    else if (/vehicle|car/.test(one.kind)) c.arc(x, y, 7, 0, 7);
    else c.rect(x - 7, y - 7, 14, 14);
  };
  const dot = (x, y, state) => { // of a city: grey, a triangle in trouble, a cross where it is gone
    const c = context;
    c.beginPath(); c.lineWidth = 2;
    if (state === "online" || !state) { c.arc(x, y, 2, 0, 7); c.fillStyle = colour("--grey"); c.fill(); return; }
    if (state === "degraded") { c.moveTo(x, y - 6); c.lineTo(x + 5, y + 4); c.lineTo(x - 5, y + 4); c.closePath(); c.fillStyle = colour("--orange"); c.strokeStyle = colour("--text"); c.lineWidth = 1; c.fill(); c.stroke(); return; }
    c.moveTo(x - 5, y - 5); c.lineTo(x + 5, y + 5); c.moveTo(x + 5, y - 5); c.lineTo(x - 5, y + 5); c.strokeStyle = colour("--red"); c.stroke();
  };
  const draw = () => {
    if (!context) return;
    const ratio = window.devicePixelRatio || 1, wide = map.clientWidth, high = map.clientHeight, c = context;
    if (map.width !== Math.round(wide * ratio) || map.height !== Math.round(high * ratio)) {
      map.width = Math.round(wide * ratio); map.height = Math.round(high * ratio);
    }
    const text = colour("--text"), soft = colour("--soft"), line = colour("--line"), back = colour("--back");
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, wide, high);
    c.font = "12px system-ui"; c.textBaseline = "middle";
    const grid = NICE.find((one) => one * scale > 90) ?? 100000;
    c.strokeStyle = line; c.lineWidth = 1; c.beginPath();
    for (let x = Math.ceil((middle.x - wide / 2 / scale) / grid) * grid; to(x, 0)[0] < wide; x += grid) { c.moveTo(to(x, 0)[0], 0); c.lineTo(to(x, 0)[0], high); }
    for (let y = Math.ceil((middle.y - high / 2 / scale) / grid) * grid; to(0, y)[1] > 0; y += grid) { c.moveTo(0, to(0, y)[1]); c.lineTo(wide, to(0, y)[1]); }
    c.stroke();
    for (const one of objects) { // where it has been, and where it will be
      if (one.truth.t.length < 2) continue;
      const until = last(one.truth.t, now);
      for (const past of [false, true]) {
        c.beginPath(); c.strokeStyle = past ? soft : line; c.lineWidth = past ? 2 : 1; c.setLineDash(past ? [] : [2, 5]);
        const from = past ? 0 : Math.max(0, until), stop = past ? until + 1 : one.truth.t.length;
        for (let i = from; i < stop; i++) c[i === from ? "moveTo" : "lineTo"](...to(one.truth.x[i], one.truth.y[i]));
        const at = truthAt(one, now);
        if (past && at && until >= 0) c.lineTo(...to(at.x, at.y));
        c.stroke();
      }
      c.setLineDash([]);
    }
    for (const [t, until, x, y, error] of data.alerts) {
      if (t / 10 > now || (until !== null && until / 10 < now)) continue;
      const [px, py] = to(x / 10, y / 10), age = now - t / 10;
      c.strokeStyle = colour("--red"); c.lineWidth = 2;
      c.beginPath(); c.arc(px, py, Math.max(16, (error ?? 0) * scale), 0, 7); c.stroke();
      if (playing && age < 4) { c.beginPath(); c.arc(px, py, 16 + 12 * (age % 1), 0, 7); c.stroke(); }
    }
    const labels = [], many = objects.length > 80;
    for (const one of objects) {
      const said = saidAt(one, now), at = truthAt(one, now);
      if (said && said.age < 120) {
        const [x, y] = to(said.x, said.y);
        c.strokeStyle = colour("--purple"); c.lineWidth = 2;
        if (said.error) { c.setLineDash([5, 4]); c.beginPath(); c.arc(x, y, Math.max(4, said.error * scale), 0, 7); c.stroke(); c.setLineDash([]); }
        c.beginPath(); c.arc(x, y, 5, 0, 7); c.stroke();
        if (at) { const [tx, ty] = to(at.x, at.y); c.lineWidth = 1; c.beginPath(); c.moveTo(x, y); c.lineTo(tx, ty); c.stroke(); }
      }
      if (!at) continue;
      const [x, y] = to(at.x, at.y);
      const state = stateAt(one, now);
      if (many && one.device) { dot(x, y, state); if (state !== "online" && labels.length < 40) labels.push([x, y, one.name, false]); continue; }
      shape(one, x, y, at.course);
      c.fillStyle = one.kind === "person" ? colour("--red") : one.device ? colour("--blue") : colour("--grey");
      c.fill(); c.strokeStyle = back; c.lineWidth = 1.5; c.stroke();
      labels.push([x, y, (one.device && state && state !== "online" ? (data.shapes[state] ?? "◌") + " " : "") + one.name, one.device || one.kind === "person"]);
    }
    const taken = labels.map(([x, y]) => [x - 9, y, 18]); // symbols, then names
    labels.sort((a, b) => b[3] - a[3]);
    for (const [x, y, name, always] of labels) { // names that would cover another are left out
      const width = c.measureText(name).width;
      const places = [[x + 14, y], [x - 14 - width, y], [x - width / 2, y - 20], [x - width / 2, y + 20]];
      const place = places.find(([a, b]) => !taken.some(([p, q, w]) => a < p + w + 4 && p < a + width + 4 && Math.abs(b - q) < 15)) ?? (always ? places[0] : null);
      if (!place) continue;
      taken.push([...place, width]);
      c.lineWidth = 3; c.strokeStyle = back; c.strokeText(name, ...place); c.fillStyle = always ? text : soft; c.fillText(name, ...place);
    }
    const bar = (NICE.findLast((one) => one * scale <= 150) ?? 1), px = bar * scale;
    c.strokeStyle = text; c.fillStyle = text; c.lineWidth = 2; c.beginPath();
    c.moveTo(16, high - 22); c.lineTo(16, high - 16); c.lineTo(16 + px, high - 16); c.lineTo(16 + px, high - 22); c.stroke();
    c.fillText(bar >= 1000 ? `${bar / 1000} km` : `${bar} m`, 22, high - 28);
    c.fillText("N", wide - 24, 34); c.beginPath(); c.moveTo(wide - 20, 10); c.lineTo(wide - 14, 24); c.lineTo(wide - 26, 24); c.closePath(); c.fill();
  };

  // the table
  const where = $("where");
  const metres = (m) => (m == null ? "–" : m >= 1000 ? `${(m / 1000).toFixed(2)} km` : m < 10 ? `${m.toFixed(1)} m` : `${Math.round(m)} m`);
  const byName = new Map(objects.map((one) => [one.name, one]));
  const shown = data.rows.map((name) => byName.get(name)).filter((one) => one);
  const cells = [];
  const prepare = () => {
    const heads = ["Who", "State", `To ${focus ? focus.name : "its start"}`, "Speed", "Reported", "Off by", "Error said"];
    const row = document.createElement("tr");
    row.setAttribute("role", "row");
    for (const [i, name] of heads.entries()) { const th = document.createElement("th"); th.scope = "col"; th.setAttribute("role", "columnheader"); th.textContent = name; if (i > 1) th.className = "n"; row.append(th); }
    where.tHead.append(row);
    for (const one of shown) {
      const tr = document.createElement("tr"), th = document.createElement("th"), small = document.createElement("small"), line = [];
      tr.setAttribute("role", "row"); th.setAttribute("role", "rowheader");
      th.scope = "row"; th.textContent = one.name; small.textContent = one.kind.replaceAll("_", " "); th.append(small); tr.append(th);
      for (let i = 1; i < heads.length; i++) { const td = document.createElement("td"); td.setAttribute("role", "cell"); td.dataset.head = heads[i]; if (i > 1) td.className = "n"; tr.append(td); line.push(td); }
      where.tBodies[0].append(tr); cells.push(line);
    }
  };
  const fill = () => {
    const centre = focus && truthAt(focus, now);
    for (const [i, one] of shown.entries()) {
      const at = truthAt(one, now), said = saidAt(one, now), state = one.device || at ? stateAt(one, now) : "not here";
      const from = focus ? centre : one.truth.t.length ? { x: one.truth.x[0], y: one.truth.y[0] } : null;
      const off = at && said ? Math.hypot(at.x - said.x, at.y - said.y) : null;
      const texts = [
        state && one.device ? `${data.shapes[state] ?? "◌"} ${state}` : state.replaceAll("_", " "), one === focus && at ? "here" : at && from ? metres(Math.hypot(at.x - from.x, at.y - from.y)) : "–",
        at ? `${at.speed.toFixed(1)} m/s` : "–", said ? `${Math.max(0, said.age).toFixed(0)} s ago` : one.device && one.truth.t.length === 1 ? "surveyed" : "–",
        metres(off), said ? metres(said.error) : "–",
      ];
        for (const [place, value] of texts.entries()) {
        const cell = cells[i][place];
        if (cell.textContent !== value) { cell.textContent = value; cell.classList.toggle("none", value === "–"); }
      }
    }
  };

  const clock = (t) => {
    const s = Math.floor(t + 1e-6), h = Math.floor(s / 3600), two = (n) => String(n).padStart(2, "0");
    return h ? `${h}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
  };
  const head = document.querySelector(".playhead");
  let current = -2;
  const show = () => {
    const slider = $("slider");
    if (slider) { slider.value = Math.round(now * 10); slider.setAttribute("aria-valuetext", clock(now)); $("now").textContent = clock(now); }
    const since = data.since === null || data.since === undefined ? null : now - data.since / 10;
    if ($("since")) $("since").textContent = since !== null && since >= 0 ? `${clock(since)} after it happened.` : "";
    if (head) { head.hidden = false; head.style.left = `${(100 * now) / (end || 1)}%`; }
    const at = last(times, now + 1e-6);
    if (at !== current) {
      current = at;
      for (const [i, button] of entries.entries()) {
        button.parentElement.classList.toggle("current", i === at); button.parentElement.classList.toggle("later", i > at);
      }
      const item = entries[at]?.parentElement;
      if (item) log.scrollTop = item.offsetTop - log.clientHeight / 2;
      if ($("caption")) $("caption").textContent = item ? item.innerText.replace(/\s+/g, " ").replace(/^\S+ \S /, "") : "";
    }
    if (map) { if (follows) follow(); draw(); fill(); }
  };
  const seek = (t) => { now = Math.min(end, Math.max(0, t)); show(); };
  const play = (on) => {
    playing = on; drawnAt = 0;
    $("play").textContent = on ? "❚❚ Pause" : "▶ Play";
    if (on) { if (now >= end) now = 0; requestAnimationFrame(turn); }
  };
  const turn = (at) => {
    if (!playing) return;
    if (drawnAt) seek(now + ((at - drawnAt) / 1000) * Number($("speed").value));
    drawnAt = at;
    if (now >= end) play(false); else requestAnimationFrame(turn);
  };

  for (const button of entries) button.addEventListener("click", () => seek(Number(button.dataset.t)));
  $("timeline")?.addEventListener("click", (event) => {
    const lane = document.querySelector(".over .lane").getBoundingClientRect();
    if (event.clientX >= lane.left) seek(((event.clientX - lane.left) / lane.width) * end);
  });
  if (map) {
    prepare(); fit(); setFollows(follows);
    $("speed").value = String(speeds.find((one) => end / one <= 75) ?? speeds.at(-1));
    $("play").addEventListener("click", () => play(!playing));
    $("slider").addEventListener("input", (event) => seek(Number(event.target.value) / 10));
    const zoom = (by) => {
      setFollows(false);
      scale *= by;
      const at = focus && by > 1 ? truthAt(focus, now) : null;
      if (at) middle = { x: at.x, y: at.y };
      draw();
    };
    $("closer").addEventListener("click", () => zoom(1.6));
    $("wider").addEventListener("click", () => zoom(1 / 1.6));
    $("fit").addEventListener("click", () => { setFollows(false); fit(); draw(); });
    $("follow").addEventListener("click", () => { setFollows(!follows); show(); });
    let drag = null;
    map.addEventListener("pointerdown", (event) => { setFollows(false); drag = [event.clientX, event.clientY]; map.setPointerCapture(event.pointerId); });
    map.addEventListener("pointermove", (event) => {
      if (!drag) return;
      middle.x -= (event.clientX - drag[0]) / scale; middle.y += (event.clientY - drag[1]) / scale;
      drag = [event.clientX, event.clientY]; draw();
    });
    for (const name of ["pointerup", "pointercancel"]) map.addEventListener(name, () => { drag = null; });
    addEventListener("resize", () => { fit(); show(); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { colours = {}; draw(); });
    addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || /^(SELECT|SUMMARY)$/.test(event.target.tagName)) return;
      if (event.key === " " && event.target.tagName === "BUTTON") return;
      if (event.target.closest?.(".scroll, .log") && /^(Home|End|ArrowLeft|ArrowRight| )$/.test(event.key)) return;
      const faster = (by) => { const s = $("speed"); s.selectedIndex = Math.min(s.length - 1, Math.max(0, s.selectedIndex + by)); };
      const step = event.shiftKey ? 10 : 1;
      const keys = {
        " ": () => play(!playing), ArrowLeft: () => seek(now - step), ArrowRight: () => seek(now + step),
        Home: () => seek(0), End: () => seek(end), "+": () => faster(1), "-": () => faster(-1),
      };
      if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
    });
  }
  show();
})();
