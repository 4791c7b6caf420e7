// Keys for the pages: 1 to 6 go to a page, ? shows the keys. Not while somebody types.
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target.closest?.("input, select, textarea, [contenteditable], [role=textbox], dialog, .q-dialog")) return;
  if (event.key === "?") document.getElementById("rp-help")?.showModal();
  else document.querySelector(`.rp-link[data-key="${CSS.escape(event.key)}"]`)?.click();
});
