// The list keeps itself up to date without moving under the reader's cursor.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const { times, toast, post, follow, banner, onKey, stored, store } = window.tocsin;
  const table = document.getElementById("list");
  const body = document.getElementById("rows");
  const fresh = document.getElementById("fresh");
  const live = document.getElementById("live");
  let wanted = [...body.children].map((row) => row.dataset.id);
  const newest = new Map();

  // -- rows
  const parse = (html) => {
    const holder = document.createElement("template");
    holder.innerHTML = "<table><tbody>" + html + "</tbody></table>";
    return holder.content.querySelector("tr");
  };
  const rowOf = (id) => document.getElementById("i-" + id);
  const update = (id, html) => {
    const there = rowOf(id);
    const made = parse(html);
    times(made);
    const drawn = there?.querySelector("svg.spark");
    const spark = made.querySelector("svg.spark");
    if (drawn && spark && drawn.dataset.alert === spark.dataset.alert) spark.innerHTML = drawn.innerHTML;
    if (there) Idiomorph.morph(there, made, { morphStyle: "outerHTML" });
    return there ?? made;
  };
  // While somebody points at the list or has a row in focus, rows keep their places.
  let pointing = false;
  body.addEventListener("pointerenter", () => { pointing = true; });
  body.addEventListener("pointerleave", () => { pointing = false; settle(); });
  body.addEventListener("focusout", () => setTimeout(settle, 0));
  const held = () => pointing || body.contains(document.activeElement);
  const arrange = () => {
    fresh.hidden = true;
    const keep = new Set(wanted);
    for (const row of [...body.children]) if (!keep.has(row.dataset.id)) row.remove();
    let at = body.firstElementChild;
    for (const id of wanted) {
      let row = rowOf(id);
      if (!row) {
        if (!newest.has(id)) continue;
        row = update(id, newest.get(id));
      }
      if (row === at) at = at.nextElementSibling;
      else body.insertBefore(row, at);
    }
    newest.clear();
    sparks();
  };
  const settle = () => {
    if (!held()) { arrange(); return; }
    const keep = new Set(wanted);
    for (const row of body.children) row.classList.toggle("gone", !keep.has(row.dataset.id));
    const more = wanted.filter((id) => !rowOf(id)).length;
    fresh.hidden = more === 0;
    fresh.textContent = more === 1 ? "1 new incident: show it" : more + " new incidents: show them";
  };
  fresh.addEventListener("click", arrange);
  const onList = (said) => {
    wanted = said.order;
    for (const [id, html] of Object.entries(said.rows)) {
      if (rowOf(id)) update(id, html);
      else newest.set(id, html);
    }
    document.getElementById("total").textContent = said.total;
    document.title = said.total + (said.total === 1 ? " incident" : " incidents") + " · Tocsin";
    for (const node of document.querySelectorAll("[data-count]")) node.textContent = said.counts[node.dataset.count] ?? 0;
    document.getElementById("empty").hidden = said.total > 0;
    settle();
  };

  if (table.dataset.live) follow(table.dataset.live, live, { list: onList, status: (said) => banner(said.html) });

  // -- sparklines of what is in view
  const drawn = new Map();
  const draw = (node, values) => {
    const known = values.filter((value) => value !== null);
    if (known.length < 2) return;
    const low = Math.min(...known);
    const span = Math.max(...known) - low || 1;
    let path = "";
    let pen = "M";
    values.forEach((value, index) => {
      if (value === null) { pen = "M"; return; }
      path += pen + ((100 * index) / (values.length - 1)).toFixed(1) + " " + (22 - (20 * (value - low)) / span).toFixed(1);
      pen = "L";
    });
    const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
    line.setAttribute("d", path);
    for (const old of node.querySelectorAll("path")) old.remove();
    node.append(line);
  };
  let asking = false;
  const sparks = async () => {
    if (asking) return;
    const now = Date.now();
    const due = [...body.querySelectorAll("svg.spark")].filter((node) => now - (drawn.get(node.dataset.alert) ?? 0) > 30000).slice(0, 100);
    if (!due.length) return;
    asking = true;
    try {
      const ids = due.map((node) => node.dataset.alert);
      const answer = await fetch("/incidents/sparks?" + new URLSearchParams(ids.map((id) => ["alert", id])));
      if (answer.ok) {
        const found = await answer.json();
        for (const node of due) if (found[node.dataset.alert]) draw(node, found[node.dataset.alert]);
      }
      for (const id of ids) drawn.set(id, Date.now());
    } catch { /* the stream says that the console is gone */ } finally { asking = false; }
  };
  setInterval(sparks, 5000);

  // -- keys
  const focused = () => document.activeElement?.closest?.("#rows tr");
  const step = (by) => {
    const rows = [...body.children];
    if (!rows.length) return;
    const at = rows.indexOf(focused());
    const next = rows[Math.max(0, Math.min(rows.length - 1, at < 0 ? 0 : at + by))];
    next.querySelector("a.title").focus();
    next.scrollIntoView({ block: "nearest" });
  };
  onKey("j", () => step(1));
  onKey("k", () => step(-1));
  onKey("ArrowDown", () => (focused() ? step(1) : false));
  onKey("ArrowUp", () => (focused() ? step(-1) : false));
  onKey("n", () => arrange());
  onKey("a", () => {
    const row = focused();
    if (!row) return false;
    acknowledge(row.dataset.id);
  });
  const acknowledge = async (id) => {
    const said = await post("/api/v1/incidents/" + id + "/actions", { action: "acknowledge" });
    if (said) toast("Acknowledged.");
  };

  // On a phone the list comes first.
  if (matchMedia("(max-width: 50rem)").matches) document.getElementById("filters-fold").open = false;

  // -- filters apply themselves; the address is the view
  const filters = document.getElementById("filters");
  filters.addEventListener("change", () => filters.requestSubmit());
  filters.addEventListener("submit", () => {
    for (const field of filters.elements) if (field.name && !field.value) field.disabled = true;
  });
  window.addEventListener("pageshow", () => { for (const field of filters.elements) field.disabled = false; });

  // -- views of one's own, kept in this browser
  const own = document.getElementById("own-views");
  const read = () => { try { return JSON.parse(stored("views", "[]")); } catch { return []; } };
  const show = () => {
    own.replaceChildren(...read().map((view, index) => {
      const holder = document.createElement("span");
      holder.className = "chip";
      const link = document.createElement("a");
      link.href = "/incidents?" + view.query;
      link.textContent = view.name;
      const drop = document.createElement("button");
      drop.type = "button";
      drop.textContent = "×";
      drop.setAttribute("aria-label", "Forget the view " + view.name);
      drop.addEventListener("click", () => { store("views", JSON.stringify(read().filter((_, at) => at !== index))); show(); });
      holder.append(link, drop);
      return holder;
    }));
  };
  document.getElementById("save-view").addEventListener("click", () => {
    const name = prompt("Name of this view");
    if (name) { store("views", JSON.stringify([...read(), { name: name.slice(0, 60), query: location.search.slice(1) }])); show(); }
  });
  show();
  sparks();
});
