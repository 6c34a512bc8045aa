// Sets the chosen theme before anything is drawn. A classic script, since modules run after the first paint.
try {
  const theme = JSON.parse(localStorage.getItem("fenliu.settings") || "{}").theme;
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be blocked; the system's theme is used then.
}
