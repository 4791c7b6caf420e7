// Says in the page that its server does not answer. A process that is stopped keeps its sockets open, and the
// web socket notices nothing: what is shown would look live.
(() => {
  const EVERY_MS = 2000, WITHIN_MS = 4000;
  let asking = false, answeredAt = performance.now();
  const show = (alive) => {
    const line = document.getElementById("rp-no-server");
    if (alive) answeredAt = performance.now();
    document.documentElement.classList.toggle("rp-server-away", !alive);
    if (!line) return;
    line.hidden = alive;
    const seconds = Math.round((performance.now() - answeredAt) / 1000);
    line.textContent = alive ? "" : line.dataset.text.replace("{n}", seconds);
  };
  const ask = async () => {
    if (asking || document.hidden) return;
    asking = true;
    const options = { cache: "no-store", redirect: "manual", signal: AbortSignal.timeout(WITHIN_MS) };
    try {
      await fetch("/static/alive.js", options);
      show(true);
    } catch {
      show(false);
    } finally {
      asking = false;
    }
  };
  setInterval(ask, EVERY_MS);
  document.addEventListener("visibilitychange", ask);
  addEventListener("online", ask);
})();
