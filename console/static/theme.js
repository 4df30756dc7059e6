// Before anything is painted: the look the reader chose.
(() => {
  try {
    const chosen = localStorage.getItem("tocsin.theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch { /* storage may be forbidden */ }
})();
