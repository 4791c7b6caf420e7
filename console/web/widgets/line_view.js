// Lines of text, the newest last, at most so many. Each is set as text, never as markup.
import { h } from "vue";

const NEAR_END_PX = 40;

export default {
  props: { most: Number, label: String, follow: Boolean },
  render() {
    return h("div", { class: "rp-lines", role: "log", tabindex: 0, "aria-label": this.label, "aria-live": "off" });
  },
  watch: {
    follow(on) {
      if (on) this.$el.scrollTop = this.$el.scrollHeight;
    },
  },
  methods: {
    // lines: [[kind, text], …]
    append(lines) {
      const box = this.$el;
      const before = box.scrollHeight - box.scrollTop;
      const rows = document.createDocumentFragment();
      for (const [kind, text] of lines.slice(-this.most)) {
        const row = document.createElement("div");
        row.className = `rp-line-${kind}`;
        row.textContent = text;
        rows.append(row);
      }
      const atEnd = before - box.clientHeight < NEAR_END_PX;
      box.append(rows);
      while (box.childElementCount > this.most) box.firstElementChild.remove();
      if (this.follow && (atEnd || !this.touched)) box.scrollTop = box.scrollHeight;
      this.touched = true;
    },
    clear() {
      this.$el.replaceChildren();
      this.touched = false;
    },
  },
};
