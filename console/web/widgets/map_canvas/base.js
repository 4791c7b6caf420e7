// What lies below the objects: tiles and lines that our own server has, and the controls.
const STYLES = {
  water: { color: "#6ba5c7", fillColor: "#9cc9e3", fillOpacity: 0.55, weight: 1 },
  river: { color: "#7fb5d6", weight: 7, opacity: 0.8 },
  road: { color: "#a8a29a", weight: 2.5 },
  park: { color: "#86a986", fillColor: "#b6d3ae", fillOpacity: 0.4, weight: 1 },
  building: { color: "#a59d93", fillColor: "#cfc8bf", fillOpacity: 0.6, weight: 0.8 },
  boundary: { color: "#8a6fa8", weight: 1.5, dashArray: "6 5", fill: false },
};
const OTHER = { color: "#8b9199", weight: 1.2, fillOpacity: 0.15 };

export function addBase(L, map, base) {
  if (base.tiles) {
    L.tileLayer(window.path_prefix + base.tiles, {
      minNativeZoom: base.minZoom ?? 0, maxNativeZoom: base.maxZoom ?? 19, maxZoom: 19,
    }).addTo(map);
  }
  map.createPane("base").style.zIndex = 350; // below the objects, whichever comes first
  const renderer = L.canvas({ padding: 0.25, pane: "base" });
  for (const url of base.geojson ?? []) {
    fetch(window.path_prefix + url).then((answer) => answer.json()).then((data) => {
      L.geoJSON(data, {
        interactive: false, renderer, pane: "base",
        style: (feature) => ({ ...OTHER, ...STYLES[feature.properties?.kind] }),
        pointToLayer: (_, at) => L.circleMarker(at, { renderer, pane: "base", radius: 3, color: "#777", interactive: false }),
      }).addTo(map);
    });
  }
}

export function addControls(L, map, base, units) {
  L.control.scale({ imperial: units === "imperial", metric: units !== "imperial", position: "bottomleft" }).addTo(map);
  const North = L.Control.extend({
    onAdd() {
      const box = L.DomUtil.create("div", "rp-map-north");
      box.textContent = "▲\nN";
      return box;
    },
  });
  new North({ position: "topright" }).addTo(map);
  if (!base.attribution) return;
  const Source = L.Control.extend({
    onAdd() {
      const box = L.DomUtil.create("div", "rp-map-source");
      box.textContent = base.attribution; // Leaflet's own control would take it for HTML
      return box;
    },
  });
  new Source({ position: "bottomright" }).addTo(map);
}
