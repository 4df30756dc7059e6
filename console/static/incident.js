// The page of one incident: it follows the newest version and sends what people do.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const { times, toast, post, follow, banner, onKey, stored, store, zoneName, wall, moment } = window.tocsin;
  const holder = document.getElementById("incident");
  const id = holder?.dataset.id ?? "";

  // -- the newest version, in place; what is open or being typed stays
  const keep = {
    beforeAttributeUpdated: (name, node) => !(name === "open" && node.nodeName === "DETAILS") && !(name === "checked" && node.nodeName === "INPUT"),
  };
  let sent = 0;
  let shown = 0;
  const renew = async () => {
    const mine = ++sent;
    const answer = await fetch("/incidents/" + id + "/main" + location.search, { headers: { "HX-Request": "true" } }).catch(() => null);
    if (!answer?.ok) { // not now: asked again, unless something else did so meanwhile
      if (!answer || answer.status >= 500) setTimeout(() => { if (mine === sent) renew(); }, 3000);
      return;
    }
    const made = document.createElement("template");
    made.innerHTML = await answer.text();
    if (mine < shown) return; // one that was asked for later has come already
    shown = mine;
    times(made.content);
    Idiomorph.morph(holder, made.innerHTML, { morphStyle: "innerHTML", ignoreActiveValue: true, callbacks: keep });
    times(holder);
    showChosen();
    for (const part of ["timeline", "map"]) htmx.trigger(document.getElementById(part), "renewed");
  };
  if (holder) {
    let known = Number(holder.dataset.version);
    follow(holder.dataset.live, document.getElementById("live"), {
      version: (said) => {
        banner(said.troubles);
        if (said.version > known) { known = said.version; renew(); }
      },
    });
  }

  // -- actions
  const act = async (verb, body, wrong) => {
    const path = verb === "report" ? "/api/v1/incidents" : "/api/v1/incidents/" + id + "/actions";
    return post(path, verb === "report" ? body : { action: verb, ...body }, wrong);
  };
  const UNDO = { resolve: ["reopen", "Resolved."], merge: ["undo", "Merged."], pause: ["resume", "Clocks paused."] };
  // An id in an answer leads there.
  const linked = (words) => {
    const found = document.createDocumentFragment();
    words.split(/\b([0-9a-f]{16})\b/).forEach((piece, at) => {
      if (at % 2 === 0 || piece === id) { found.append(piece); return; }
      const link = document.createElement("a");
      link.href = "/incidents/" + piece;
      link.textContent = piece;
      found.append(link);
    });
    return found;
  };
  const done = (verb, said) => {
    if (verb === "report") { location.href = "/incidents/" + said.incident; return; }
    if (verb === "split") choose([]);
    const [back, words] = UNDO[verb] ?? [null, said.reason && said.reason !== "applied" ? said.reason : "Done."];
    toast(linked(words), false, back && (async () => { const undone = await act(back, {}); if (undone) toast("Undone."); }));
    setTimeout(renew, 1200);
  };
  // Fields of times are in the zone the reader chose, which their labels name; what is in them moves with it.
  const zoned = (root = document) => {
    const now = zoneName();
    for (const field of root.querySelectorAll('input[type="datetime-local"]')) {
      if (field.dataset.zone !== now && field.value) field.value = wall(moment(field.value, field.dataset.zone), now);
      field.dataset.zone = now;
    }
    for (const name of root.querySelectorAll("[data-zone-name]")) name.textContent = now;
  };
  zoned();
  document.addEventListener("tocsin:zone", () => zoned());
  const local = (text, zone) => (text ? wall(Number(text), zone) : "");
  const utc = (field) => {
    const ms = moment(field.value, field.dataset.zone);
    return Number.isNaN(ms) ? field.value : new Date(ms).toISOString();
  };
  const whyNot = (verb) => document.getElementById("why-" + verb)?.textContent || "not now";
  const start = async (verb, why = "") => {
    const dialog = document.getElementById("do-" + verb);
    if (!dialog) {
      const said = await act(verb, {});
      if (said) done(verb, said);
      return;
    }
    if (verb === "split") {
      if (!chosen.size) {
        toast("Choose the alerts that leave in the table first.");
        document.getElementById("member-filter").focus();
        return;
      }
      dialog.querySelector("[data-chosen]").textContent = chosen.size;
    }
    const wrong = dialog.querySelector("p.wrong");
    wrong.hidden = true;
    // As it stands in the newest version, which came in after this page was made.
    const now = document.getElementById("now").dataset;
    zoned(dialog);
    for (const field of dialog.querySelectorAll("[data-now]")) {
      const text = now[field.dataset.now];
      field.value = field.type === "datetime-local" ? local(text, field.dataset.zone) : why && field.name === "cause_service" ? "" : text;
      field.dataset.before = field.value;
    }
    const reason = dialog.querySelector("[data-said]");
    if (reason) { reason.textContent = why; reason.hidden = !why; }
    const part = dialog.querySelector("[data-fetch]");
    if (part) { // what was offered the last time goes first: a choice in it would be lost
      part.replaceChildren();
      htmx.ajax("GET", part.dataset.fetch, { source: part, target: part });
    }
    dialog.showModal();
    if (why) dialog.querySelector('[name="cause_service"]').focus();
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-verb]");
    if (button?.getAttribute("aria-disabled")) toast(whyNot(button.dataset.verb), true);
    else if (button) { document.getElementById("more-actions")?.removeAttribute("open"); start(button.dataset.verb, button.dataset.why); }
    const right = event.target.closest("button[data-right]");
    if (right) { right.disabled = true; act("record", { cause_service: right.dataset.right }).then((said) => { right.disabled = false; if (said) done("record", said); }); }
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
    const targets = [];
    for (const field of form.elements) {
      if (!field.name || !field.value || (field.type === "checkbox" && !field.checked) || (field.dataset.before !== undefined && field.value === field.dataset.before)) continue;
      const value = field.type === "datetime-local" ? utc(field) : field.value;
      if (field.name === "target" || field.name === "targets") targets.push(...value.split(/[\s,]+/).filter(Boolean));
      else if (field.name.startsWith("fields.")) body.fields[field.name.slice(7)] = value;
      else body[field.name] = value;
    }
    if (verb === "merge") body.targets = targets;
    if (verb === "split") body.targets = [...chosen];
    if (verb === "impact" && Object.keys(body.fields).length === 1) delete body.fields.status;
    const wrong = form.querySelector("p.wrong");
    const buttons = form.querySelectorAll("button.primary");
    wrong.hidden = true;
    for (const button of buttons) button.disabled = true;
    const said = await act(verb, body, (words) => { wrong.textContent = words; wrong.hidden = false; });
    for (const button of buttons) button.disabled = false;
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
    if (button.getAttribute("aria-disabled")) toast(whyNot(verb), true);
    else start(verb);
  });
  onKey("Escape", () => {
    const menu = document.getElementById("more-actions");
    if (!menu?.open) return false;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  key("a", "acknowledge"); key("m", "mitigate"); key("r", "resolve"); key("s", "assign"); key("n", "note");

  // -- members: the address says which are shown; what was chosen stays chosen on other pages of the table
  const CHOSEN = "tocsin.chosen." + id;
  const kept = () => { try { return JSON.parse(sessionStorage.getItem(CHOSEN) ?? "[]"); } catch { return []; } };
  let chosen = new Set(holder ? kept() : []);
  const choose = (ids) => {
    chosen = new Set(ids);
    try { sessionStorage.setItem(CHOSEN, JSON.stringify([...chosen])); } catch { /* storage may be forbidden */ }
    showChosen();
  };
  const showChosen = () => {
    for (const box of document.querySelectorAll('#members input[name="alert"]')) box.checked = chosen.has(box.value);
    const bar = document.getElementById("chosen");
    bar.hidden = chosen.size === 0;
    bar.firstElementChild.textContent = chosen.size === 1 ? "1 alert chosen" : chosen.size + " alerts chosen";
  };
  const table = (address) => { history.replaceState(null, "", address); return renew(); };
  const ask = () => {
    const form = document.getElementById("members-form");
    const query = new URLSearchParams([...new FormData(form)].filter(([name, value]) => value && !(name === "by" && value === "active")));
    return table(location.pathname + (query.size ? "?" + query : ""));
  };
  if (holder) {
    showChosen();
    let typed = 0;
    document.addEventListener("input", (event) => {
      if (event.target.id !== "member-filter") return;
      clearTimeout(typed);
      typed = setTimeout(ask, 300);
    });
    document.addEventListener("change", (event) => {
      if (event.target.matches('#members input[name="alert"]')) {
        const ids = new Set(chosen);
        if (event.target.checked) ids.add(event.target.value);
        else ids.delete(event.target.value);
        choose(ids);
      } else if (event.target.matches("#members-form select")) ask();
    });
    document.addEventListener("submit", (event) => { if (event.target.id === "members-form") { event.preventDefault(); ask(); } });
    document.addEventListener("click", (event) => {
      const link = event.target.closest("a[data-members]");
      if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) { event.preventDefault(); table(link.getAttribute("href").replace("#h-members", "")); }
      if (event.target.closest("[data-unchoose]")) choose([]);
    });
  }

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
