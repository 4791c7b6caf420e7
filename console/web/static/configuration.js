// A text that the device would refuse for its size is not sent to the server: it would end the connection.
const tooLarge = (event, data) => {
  const editor = event.target.closest?.(".rp-editor");
  if (!editor || (data?.getData("text") ?? "").length <= Number(editor.dataset.most || 262144)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  emitEvent("text_too_large");
};
document.addEventListener("paste", (event) => tooLarge(event, event.clipboardData), true);
document.addEventListener("drop", (event) => tooLarge(event, event.dataTransfer), true);
