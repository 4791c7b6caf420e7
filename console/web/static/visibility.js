// Tells the server whether the tab is seen: nothing is sent to one that is not.
document.addEventListener("visibilitychange", () => emitEvent("tab_hidden", document.hidden));
