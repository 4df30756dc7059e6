// The services of an incident: laid out by dagre, drawn as SVG. A node chosen filters what is below to its service.
"use strict";

(() => {
  const NS = "http://www.w3.org/2000/svg";
  const make = (name, attributes = {}, text) => {
    const node = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const cut = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);
  const CLASSES = { "suspected cause": "r-cause", affected: "r-affected", "on the way": "r-between" };
  const DASHES = { declared: "7 4", seen: "2 4" };
  const WORDS = { declared: "declared, not seen", seen: "seen, not declared" };
  const percent = (share) => Math.round(share * 100) + " %";
  const rate = (value) => new Intl.NumberFormat("en", { maximumSignificantDigits: 2 }).format(value) + "/min";
  const onset = (node) => (node.onset_ms === null ? "" : "from " + tocsin.text(node.onset_ms, "second"));
  const signal = (node) => (node.signal.startsWith(node.id + " ") ? node.signal.slice(node.id.length + 1) : node.signal);
  const figures = (call) => [call.failed >= 0.005 ? percent(call.failed) + " fail" : "", call.per_minute === null ? "" : rate(call.per_minute)].filter(Boolean).join(", ");

  // Shape says the part, as the words in it do: six corners, a box, a pill.
  const outline = (role, w, h) => {
    if (role === "suspected cause") return "M12 0H" + (w - 12) + "L" + w + " " + h / 2 + "L" + (w - 12) + " " + h + "H12L0 " + h / 2 + "Z";
    const r = role === "affected" ? 6 : h / 2;
    const arc = (x, y) => "A" + r + " " + r + " 0 0 1 " + x + " " + y;
    return "M" + r + " 0H" + (w - r) + arc(w, r) + "V" + (h - r) + arc(w - r, h) + "H" + r + arc(0, h - r) + "V" + r + arc(r, 0) + "Z";
  };

  const draw = (figure) => {
    const data = JSON.parse(figure.dataset.map);
    const canvas = figure.querySelector(".canvas");
    const graph = new dagre.graphlib.Graph();
    graph.setGraph({ rankdir: figure.clientWidth < 700 ? "TB" : "LR", nodesep: 26, ranksep: 40, marginx: 10, marginy: 10 });
    graph.setDefaultEdgeLabel(() => ({}));
    const lines = new Map();
    for (const node of data.nodes) {
      const texts = [cut(node.id, 28), cut(node.role + (node.alerts ? ", " + node.alerts + (node.alerts === 1 ? " alert" : " alerts") : ""), 40)];
      if (node.onset_ms !== null) texts.push(onset(node), cut(signal(node), 36));
      lines.set(node.id, texts);
      const longest = Math.max(texts[0].length * 8, ...texts.slice(1).map((text) => text.length * 6.1));
      graph.setNode(node.id, { width: Math.max(110, longest + 36), height: 16 + texts.length * 15 });
    }
    for (const call of data.calls) {
      const words = figures(call);
      graph.setEdge(call.caller, call.callee, { width: words.length * 6.2 + 12, height: words ? 16 : 0, labelpos: "c" });
    }
    dagre.layout(graph);
    const { width, height } = graph.graph();
    const svg = make("svg", { class: "servicemap", width, height, viewBox: "0 0 " + width + " " + height, role: "group", "aria-label": "Services of this incident and their calls" });
    for (const call of data.calls) {
      const at = graph.edge(call.caller, call.callee);
      const words = figures(call);
      const said = [call.caller + " calls " + call.callee, words, WORDS[call.source], call.suspect ? "suspected path" : ""].filter(Boolean).join(", ");
      const group = make("g", { role: "img", "aria-label": said });
      const path = make("path", { d: at.points.map((p, n) => (n ? "L" : "M") + p.x + " " + p.y).join(""), class: call.suspect ? "suspect" : "" });
      if (DASHES[call.source]) path.setAttribute("stroke-dasharray", DASHES[call.source]);
      const [a, b] = at.points.slice(-2);
      const turn = (Math.atan2(b.y - a.y, b.x - a.x) * 180) / Math.PI;
      group.append(make("title", {}, said), path, make("path", { d: "M0 0L-9 -4.5V4.5z", class: call.suspect ? "suspect head" : "head", transform: "translate(" + b.x + " " + b.y + ") rotate(" + turn + ")" }));
      if (words) {
        const wide = words.length * 6.2 + 6;
        group.append(make("rect", { x: at.x - wide / 2, y: at.y - 8, width: wide, height: 16, class: "on" }), make("text", { x: at.x, y: at.y + 4, class: "small", "text-anchor": "middle" }, words));
      }
      svg.append(group);
    }
    for (const node of data.nodes) {
      const at = graph.node(node.id);
      const button = make("g", { role: "button", tabindex: 0, "data-choose": node.id, "aria-pressed": "false", class: "node " + CLASSES[node.role], transform: "translate(" + (at.x - at.width / 2) + " " + (at.y - at.height / 2) + ")" });
      button.setAttribute("aria-label", node.id + ", " + node.role + (node.signal ? ", " + onset(node) + ": " + signal(node) : "") + ". Show only this service below");
      button.append(make("title", {}, node.id + ", " + node.role + (node.signal ? ": " + signal(node) : "")), make("path", { class: "box", d: outline(node.role, at.width, at.height) }));
      lines.get(node.id).forEach((text, n) => button.append(make("text", { x: at.width / 2, y: 20 + n * 15, class: n ? "small" : "name", "text-anchor": "middle" }, text)));
      svg.append(button);
    }
    canvas.replaceChildren(svg);
    const cause = data.nodes.find((node) => node.role === "suspected cause") ?? data.nodes[0];
    canvas.scrollLeft = graph.node(cause.id).x - canvas.clientWidth / 2;
    canvas.scrollTop = graph.node(cause.id).y - canvas.clientHeight / 2;
    document.dispatchEvent(new Event("tocsin:map"));
  };
  const choose = (event) => {
    const node = event.target.closest?.("[data-choose]");
    if (!node) return;
    event.preventDefault();
    document.dispatchEvent(new CustomEvent("tocsin:service", { detail: node.dataset.choose }));
  };
  document.addEventListener("click", choose);
  document.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") choose(event); });
  const all = () => { for (const figure of document.querySelectorAll("[data-map]")) if (!figure.querySelector("svg")) draw(figure); };
  document.addEventListener("htmx:afterSettle", all);
  document.addEventListener("tocsin:zone", () => { for (const figure of document.querySelectorAll("[data-map]")) draw(figure); });
  document.addEventListener("DOMContentLoaded", all);
})();
