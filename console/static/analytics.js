// Copying a statement.
"use strict";
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).textContent);
    window.tocsin.toast("Copied.");
  } catch {
    window.tocsin.toast("The browser does not allow copying here: select the text.", true);
  }
});
