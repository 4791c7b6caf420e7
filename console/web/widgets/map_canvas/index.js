// The drawing of the map widget.
export { addBase, addControls } from "./base.js";
export { ObjectLayer } from "./object_layer.js";
export { Feed } from "./feed.js";
export const STYLES = new URL("./map.css", import.meta.url).href;
