// The text of the editor is told to the server as a whole a moment after each change: what a person sees is
// what the server has, whatever crossed on the way. Marks of mistakes come as data, so that they touch no text.
const EVERY_MS = 250;
const MOST_BYTES = 900000; // a larger message would end the connection
const seen = new WeakMap();

const look = () => {
  for (const element of document.querySelectorAll(".rp-editor")) {
    const component = getElement(element);
    const doc = component?.editor?.state.doc;
    if (!doc) continue;
    const theme = document.body.classList.contains("body--dark") ? "vscodeDark" : "githubLight";
    const before = seen.get(component) ?? { doc, marks: "[]", theme: "githubLight" };
    const marks = document.querySelector(".rp-marks")?.dataset.marks ?? "[]";
    if (doc !== before.doc) {
      const text = doc.toString();
      const bytes = new TextEncoder().encode(JSON.stringify(text)).length;
      emitEvent("editor_text", bytes > MOST_BYTES ? null : text);
    }
    if (marks !== before.marks) {
      const lines = JSON.parse(marks).filter((mark) => mark.line <= doc.lines);
      component.setDecorations(lines.map((mark) => ({ kind: "line", line: mark.line, class: "rp-mistake-line" })));
      component.setLineTooltips(Object.fromEntries(lines.map((mark) => [mark.line, mark.text])));
    }
    if (theme !== before.theme) component.setTheme(theme);
    seen.set(component, { doc, marks, theme });
  }
};
setInterval(look, EVERY_MS);

const tooLarge = (event, data) => {
  const editor = event.target.closest?.(".rp-editor");
  if (!editor || (data?.getData("text") ?? "").length <= Number(editor.dataset.most)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  emitEvent("text_too_large");
};
document.addEventListener("paste", (event) => tooLarge(event, event.clipboardData), true);
document.addEventListener("drop", (event) => tooLarge(event, event.dataTransfer), true);
