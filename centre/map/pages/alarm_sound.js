// Two tones for a new critical alert. A browser allows sound after the first click or key.
import { h } from "vue";

export default {
  props: { count: Number, muted: Boolean },
  render() {
    return h("span", { class: "rp-tone", "data-count": this.count });
  },
  mounted() {
    this.allow = () => {
      this.audio ??= new AudioContext();
      this.audio.resume().then(() => this.$emit("allowed"));
      removeEventListener("pointerdown", this.allow);
      removeEventListener("keydown", this.allow);
    };
    addEventListener("pointerdown", this.allow);
    addEventListener("keydown", this.allow);
  },
  unmounted() {
    removeEventListener("pointerdown", this.allow);
    removeEventListener("keydown", this.allow);
    this.audio?.close();
  },
  watch: {
    count(now, before) {
      if (now > before && !this.muted && this.audio?.state === "running") this.play();
    },
  },
  methods: {
    play() {
      [880, 660, 880].forEach((pitch, i) => {
        const tone = this.audio.createOscillator(), gain = this.audio.createGain(), at = this.audio.currentTime + i * 0.22;
        tone.frequency.value = pitch;
        gain.gain.setValueAtTime(0.0001, at);
        gain.gain.exponentialRampToValueAtTime(0.25, at + 0.02);
        gain.gain.exponentialRampToValueAtTime(0.0001, at + 0.2);
        tone.connect(gain).connect(this.audio.destination);
        tone.start(at);
        tone.stop(at + 0.21);
      });
    },
  },
};
