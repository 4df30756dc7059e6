// The form of a silence: shows what belongs to what was chosen, marks wrong fields, asks before one is ended.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("silence");
  const fit = () => {
    const chosen = new Set(["kind", "when"].map((name) => name + "=" + new FormData(form).get(name)));
    for (const part of form.querySelectorAll("[data-for]")) {
      part.hidden = !part.dataset.for.split(" ").some((one) => chosen.has(one));
    }
  };
  const mark = () => {
    for (const said of form.querySelectorAll(".wrong[id]")) {
      const field = form.elements[said.id.slice("wrong-".length)];
      if (!field?.setAttribute) continue;
      if (said.textContent) field.setAttribute("aria-invalid", "true");
      else field.removeAttribute("aria-invalid");
    }
  };
  form.addEventListener("change", fit);
  document.body.addEventListener("htmx:oobAfterSwap", mark);
  document.body.addEventListener("htmx:afterSettle", mark);
  // The zone of the reader, unless one was given.
  const zone = form.elements.zone;
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone.value === "UTC" && !location.search && here) zone.value = here;
  fit();
  mark();

  const sure = document.getElementById("sure");
  document.body.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-expire]");
    if (!button) return;
    document.getElementById("sure-name").textContent = button.dataset.expire;
    document.getElementById("sure-value").value = button.dataset.expire;
    sure.showModal();
  });
  document.getElementById("sure-not").addEventListener("click", () => sure.close());
});
