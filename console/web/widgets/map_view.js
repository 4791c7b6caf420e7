// A map of moving objects: Leaflet for moving and zooming, one canvas for all objects, one web socket for
// their changes. Nothing is evaluated, no text becomes markup.
import { h } from "vue";
import { leaflet as L } from "nicegui-leaflet";
import { loadResource } from "../../static/utils/resources.js";
import { addBase, addControls, ObjectLayer, Feed, STYLES } from "ringpost-map";

export default {
  props: { channel: String, options: Object, texts: Object, resourcePath: String },
  render() {
    return h("div", { class: "rp-mapview" }, [
      h("div", { class: "rp-map-pane", ref: "pane" }),
      h("div", { class: "rp-map-banner", ref: "banner", role: "status" }),
      h("div", { class: "rp-map-spoken", ref: "spoken", "aria-live": "polite" }),
    ]);
  },
  async mounted() {
    await this.$nextTick(); // window.path_prefix is set
    await loadResource(window.path_prefix + `${this.resourcePath}/leaflet/leaflet.css`);
    await loadResource(STYLES);
    if (this.closed) return;
    const o = this.options;
    this.map = L.map(this.$refs.pane, {
      center: o.center, zoom: o.zoom, minZoom: 3, maxZoom: 19, attributionControl: false,
      zoomAnimation: !matchMedia("(prefers-reduced-motion: reduce)").matches, preferCanvas: true,
    });
    this.$refs.pane.setAttribute("aria-label", this.texts.map);
    addBase(L, this.map, o.base);
    addControls(L, this.map, o.base, o.units);
    this.objects = new (ObjectLayer(L))({ clusterBelow: o.clusterBelow, texts: this.texts, grid: o.base.kind === "grid" });
    this.objects.addTo(this.map);
    this.feed = new Feed(`${window.path_prefix}/map-channel/${this.channel}`, (message) => this.take(message));
    this.watchTheme = new MutationObserver(() => this.objects.setDark(document.body.classList.contains("body--dark")));
    this.watchTheme.observe(document.body, { attributes: true, attributeFilter: ["class"] });
    this.objects.setDark(document.body.classList.contains("body--dark"));
    this.resize = new ResizeObserver(() => this.map.invalidateSize({ animate: false }));
    this.resize.observe(this.$refs.pane);
    this.map.on("click", (e) => this.onClick(e));
    this.map.on("mousemove", (e) => {
      this.$refs.pane.style.cursor = this.objects.hit(e.layerPoint, 12) ? "pointer" : "";
    });
    this.map.on("moveend", () => {
      const c = this.map.getCenter();
      this.$emit("moved", { lat: c.lat, lon: c.lng, zoom: this.map.getZoom() });
    });
    this.$refs.pane.addEventListener("keydown", (e) => this.onKey(e));
    this.timer = setInterval(() => this.watch(), 1000);
    this.$el.ringpost = this; // tests and benchmarks read `stats` here
  },
  unmounted() {
    this.closed = true;
    clearInterval(this.timer);
    this.feed?.close();
    this.watchTheme?.disconnect();
    this.resize?.disconnect();
    this.map?.remove();
  },
  methods: {
    take(message) {
      this.tookAt = performance.now();
      if (message.at) this.at = message.at;
      this.objects.take(message);
      if (message.look) {
        const [lat, lon, zoom] = message.look;
        this.map.setView([lat, lon], zoom || Math.max(this.map.getZoom(), 14), { animate: false });
      }
      this.$el.classList.toggle("rp-map-past", Boolean(this.objects.past));
      this.watch();
    },
    watch() {
      // What is shown is never older than it looks: without messages for 5 s the map says so.
      const lost = this.tookAt !== undefined && performance.now() - this.tookAt > 5000;
      const time = this.at ? new Date(this.at).toLocaleTimeString("en-GB", { timeZone: this.options.zone }) : "";
      const text = lost ? this.texts.lost.replace("{time}", time)
        : this.objects.past ? this.texts.past.replace("{time}", time) : "";
      if (this.$refs.banner.textContent !== text) this.$refs.banner.textContent = text;
      this.$el.classList.toggle("rp-map-lost", lost);
      if (!lost && !this.objects.past) this.objects.ageAll();
    },
    onClick(e) {
      const touch = matchMedia("(pointer: coarse)").matches;
      const found = this.objects.hit(e.layerPoint, touch ? 26 : 14);
      if (found?.cluster) this.map.setView(found.latlng, Math.min(this.map.getZoom() + 2, 19));
      else if (found) this.$emit("pick", { id: found.id });
      else this.$emit("point", { lat: e.latlng.lat, lon: e.latlng.lng });
    },
    onKey(e) {
      if (e.key === "." || e.key === ",") {
        const found = this.objects.step(e.key === "." ? 1 : -1);
        if (found) this.$refs.spoken.textContent = `${found.label}: ${this.texts.states[found.state] ?? found.note}`;
      } else if (e.key === "Enter" && this.objects.focused) {
        this.$emit("pick", { id: this.objects.focused });
      } else return;
      e.preventDefault();
      e.stopPropagation();
    },
  },
};
