// What is below the map, for one service or for all; what was opened stays open when the timeline is renewed.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  let chosen = "";
  const apply = () => {
    for (const node of document.querySelectorAll("#timeline [data-service], #logs [data-service]")) node.classList.toggle("other", chosen !== "" && node.dataset.service !== chosen);
    for (const node of document.querySelectorAll("[data-choose]")) node.setAttribute("aria-pressed", String(node.dataset.choose === chosen));
    for (const id of ["charts", "logs", "timeline"]) {
      const part = document.getElementById(id);
      if (!part) continue;
      let note = part.previousElementSibling;
      if (!note?.matches("[data-only]")) {
        if (!chosen) continue;
        note = document.createElement("p");
        note.className = "note only";
        note.dataset.only = "";
        part.before(note);
      }
      note.hidden = !chosen;
      if (!chosen) continue;
      const all = document.createElement("button");
      all.type = "button";
      all.textContent = "Show all services";
      all.addEventListener("click", () => choose(""));
      note.replaceChildren("Signals of " + chosen + " only. ", all);
    }
  };
  // Charts of a service are asked for: those that are shown are only the leading ones of all.
  const choose = (service) => {
    chosen = service;
    apply();
    const part = document.getElementById("charts");
    if (part) htmx.ajax("GET", part.getAttribute("hx-get") + (service ? "?service=" + encodeURIComponent(service) : ""), "#charts");
  };
  document.addEventListener("tocsin:service", (event) => choose(chosen === event.detail ? "" : event.detail));
  document.addEventListener("tocsin:map", apply);

  let open = [];
  document.addEventListener("htmx:beforeSwap", (event) => { if (event.target.id === "timeline") open = [...event.target.querySelectorAll("details[open]")].map((one) => one.id); });
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.target.id === "timeline") for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    apply();
    if (seek && event.target.id === "charts") {
      const found = document.getElementById(seek);
      seek = "";
      if (found) show(found);
      else window.tocsin.toast("This signal has no chart: it is not among the leading ones.", true);
    }
  });

  // A link to a signal that is not shown yet has it loaded first.
  let seek = "";
  const show = (node) => {
    node.closest("details")?.setAttribute("open", "");
    if (node.matches("details")) node.open = true;
    if (node.closest(".other")) choose("");
    location.hash = node.id;
    node.scrollIntoView({ block: "center" });
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#alert-"], a[href^="#change-"]');
    if (!link) return;
    const id = link.getAttribute("href").slice(1);
    const there = document.getElementById(id);
    if (there) { if (there.closest(".other, details:not([open])")) { event.preventDefault(); show(there); } return; }
    const part = document.getElementById("charts");
    if (!part || !id.startsWith("alert-")) return;
    event.preventDefault();
    seek = id;
    chosen = "";
    apply();
    htmx.ajax("GET", part.getAttribute("hx-get") + "?most=64", "#charts");
  });

  window.addEventListener("beforeprint", () => { for (const one of document.querySelectorAll("#map details, #timeline details, #logs details, #charts .odd details")) one.open = true; });
});
