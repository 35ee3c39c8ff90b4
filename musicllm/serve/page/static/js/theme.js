/**
 * Sets the colours before the first paint, as the user chose them earlier: light, dark, or as the
 * system has them. A classic script, so that the page never flashes in the other colours.
 */
(function applyTheme() {
  let theme = null;
  try {
    theme = localStorage.getItem("musicllm.theme");
  } catch {
    // a browser that keeps nothing has the colours of the system
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
