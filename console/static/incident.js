// The page of one incident: it follows the newest version and sends what people do.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const { times, toast, post, onKey, stored, store } = window.tocsin;
  const holder = document.getElementById("incident");
  const id = holder?.dataset.id ?? "";

  // -- the newest version, in place; what is open or being typed stays
  const keep = {
    beforeAttributeUpdated: (name, node) => !(name === "open" && node.nodeName === "DETAILS") && !(name === "checked" && node.nodeName === "INPUT"),
  };
  const renew = async () => {
    const answer = await fetch("/incidents/" + id + "/main", { headers: { "HX-Request": "true" } }).catch(() => null);
    if (!answer?.ok) return;
    const made = document.createElement("template");
    made.innerHTML = await answer.text();
    times(made.content);
    Idiomorph.morph(holder, made.innerHTML, { morphStyle: "innerHTML", ignoreActiveValue: true, callbacks: keep });
    times(holder);
    filterMembers();
    for (const part of document.querySelectorAll("[data-part]")) if (part.dataset.part === "timeline" || part.dataset.part === "map") htmx.trigger(part, "load");
  };
  if (holder) {
    let known = Number(holder.dataset.version);
    const connect = () => {
      const source = new EventSource(holder.dataset.live);
      source.addEventListener("version", (event) => {
        const said = JSON.parse(event.data);
        const troubles = document.getElementById("troubles");
        if (troubles.innerHTML !== said.troubles) troubles.innerHTML = said.troubles;
        if (said.version > known) { known = said.version; renew(); }
      });
      source.addEventListener("error", () => { if (source.readyState === EventSource.CLOSED) setTimeout(connect, 2000); });
      window.addEventListener("pagehide", () => source.close(), { once: true });
    };
    connect();
  }

  // -- actions
  const act = async (verb, body) => {
    const path = verb === "report" ? "/api/v1/incidents" : "/api/v1/incidents/" + id + "/actions";
    return post(path, verb === "report" ? body : { action: verb, ...body });
  };
  const UNDO = { resolve: ["reopen", "Resolved."], merge: ["undo", "Merged."], pause: ["resume", "Clocks paused."] };
  const done = (verb, said) => {
    if (verb === "report") { location.href = "/incidents/" + said.incident; return; }
    const [back, words] = UNDO[verb] ?? [null, said.reason && said.reason !== "applied" ? said.reason : "Done."];
    toast(words, false, back && (async () => { const undone = await act(back, {}); if (undone) toast("Undone."); }));
    setTimeout(renew, 1200);
  };
  const chosen = () => [...document.querySelectorAll("#members input:checked")].map((box) => box.value);
  const start = async (verb) => {
    const dialog = document.getElementById("do-" + verb);
    if (!dialog) {
      const said = await act(verb, {});
      if (said) done(verb, said);
      return;
    }
    const count = dialog.querySelector("[data-chosen]");
    if (count) count.textContent = chosen().length;
    for (const field of dialog.querySelectorAll("input[data-ms]")) {
      const ms = Number(field.dataset.ms);
      field.value = field.dataset.ms ? new Date(ms - new Date(ms).getTimezoneOffset() * 60000).toISOString().slice(0, 19) : "";
      field.dataset.before = field.value;
    }
    dialog.showModal();
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-verb]");
    if (button && !button.disabled) { document.getElementById("more-actions")?.removeAttribute("open"); start(button.dataset.verb); }
    if (event.target.closest("[data-close]")) event.target.closest("dialog").close();
    const menu = document.getElementById("more-actions");
    if (menu?.open && !menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("submit", async (event) => {
    const form = event.target.closest("form[data-verb]");
    if (!form) return;
    event.preventDefault();
    const verb = form.dataset.verb;
    const body = { fields: {} };
    for (const field of form.elements) {
      if (!field.name || !field.value || (field.dataset.before !== undefined && field.value === field.dataset.before)) continue;
      const value = field.type === "datetime-local" ? new Date(field.value).toISOString() : field.value;
      if (field.name === "targets") body.targets = value.split(/[\s,]+/).filter(Boolean);
      else if (field.name.startsWith("fields.")) body.fields[field.name.slice(7)] = value;
      else body[field.name] = value;
    }
    if (verb === "split") body.targets = chosen();
    if (verb === "impact" && Object.keys(body.fields).length === 1) delete body.fields.status;
    const said = await act(verb, body);
    if (said) { form.closest("dialog")?.close(); form.reset(); done(verb, said); }
  });
  // -- action items and status updates, in the part of the review
  const write = async (verb, fields) => {
    const said = await act(verb, { fields });
    if (!said) return;
    toast(said.reason && said.reason !== "applied" ? said.reason : "Done.");
    setTimeout(() => htmx.ajax("GET", "/incidents/" + id + "/review", "#review"), 1200);
  };
  document.addEventListener("click", (event) => {
    const item = event.target.closest("[data-item]");
    if (item) write("item", { op: item.dataset.op, id: item.dataset.item });
    const update = event.target.closest("[data-update]");
    if (update) write("update", { op: update.dataset.op, id: update.dataset.update });
  });
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("form[data-write]");
    if (!form) return;
    event.preventDefault();
    const fields = { op: form.dataset.op };
    for (const field of form.elements) if (field.name && field.value) fields[field.name] = field.value;
    write(form.dataset.write, fields);
  });
  const key = (letter, verb) => onKey(letter, () => {
    const button = document.querySelector('button[data-verb="' + verb + '"]');
    if (!button) return false;
    if (button.disabled) toast(button.title || "not now", true);
    else start(verb);
  });
  key("a", "acknowledge"); key("m", "mitigate"); key("r", "resolve"); key("s", "assign"); key("n", "note");

  // -- members
  const filterMembers = () => {
    const field = document.getElementById("member-filter");
    if (!field) return;
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of document.querySelectorAll("#members tbody tr")) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
  };
  document.addEventListener("input", (event) => { if (event.target.id === "member-filter") filterMembers(); });

  // -- the timeline's kinds, remembered
  const applyKinds = () => {
    const off = new Set(JSON.parse(stored("timeline.off", "[]")));
    for (const box of document.querySelectorAll("input[data-kind]")) box.checked = !off.has(box.dataset.kind);
    for (const entry of document.querySelectorAll("#timeline .entry")) entry.hidden = off.has(entry.dataset.kind);
  };
  document.addEventListener("change", (event) => {
    if (!event.target.dataset.kind) return;
    store("timeline.off", JSON.stringify([...document.querySelectorAll("input[data-kind]:not(:checked)")].map((box) => box.dataset.kind)));
    applyKinds();
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.target.id === "timeline") applyKinds();
    // An address that points into a part that came later.
    if (location.hash && event.target.querySelector?.(CSS.escape ? "#" + CSS.escape(location.hash.slice(1)) : "nothing")) document.getElementById(location.hash.slice(1))?.scrollIntoView({ block: "center" });
  });
});
