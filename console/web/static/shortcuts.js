// Keys for the pages: 1 to 6 go to a page, ? shows the keys. Not while somebody types.
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target.closest?.("input, select, textarea, [contenteditable], [role=textbox], dialog, .q-dialog")) return;
  if (event.key === "?") document.getElementById("rp-help")?.showModal();
  else document.querySelector(`.rp-link[data-key="${CSS.escape(event.key)}"]`)?.click();
});

// The editor of NiceGUI has no name of its own for screen readers: it gets that of the element around it.
new MutationObserver(() => {
  for (const editor of document.querySelectorAll(".cm-content:not([aria-label])"))
    editor.setAttribute("aria-label", editor.closest("[aria-label]")?.getAttribute("aria-label") ?? document.title);
}).observe(document.documentElement, { childList: true, subtree: true });

// Where the connection is lost because the session has ended, the page goes to the login; else it goes on trying.
setInterval(async () => {
  if (window.socket === undefined || window.socket.connected || document.hidden) return;
  try {
    const answer = await fetch("/session", { redirect: "manual", cache: "no-store" });
    if (answer.type === "opaqueredirect") location.assign("/login");
  } catch {
    // the server does not answer: NiceGUI says so, and connects again by itself
  }
}, 2000);
