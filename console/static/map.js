// The services of an incident: laid out by dagre, drawn as SVG.
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
  const ROLES = { "suspected cause": "r-cause", affected: "r-affected", "on the way": "r-between" };
  const onset = (node) => (node.onset_ms === null ? "" : "from " + tocsin.text(node.onset_ms, "second"));

  const draw = (figure) => {
    const data = JSON.parse(figure.dataset.map);
    const graph = new dagre.graphlib.Graph();
    graph.setGraph({ rankdir: figure.clientWidth < 700 ? "TB" : "LR", nodesep: 26, ranksep: 70, marginx: 10, marginy: 10 });
    graph.setDefaultEdgeLabel(() => ({}));
    for (const node of data.nodes) {
      const longest = Math.max(cut(node.id, 28).length * 8, cut(node.signal, 34).length * 6.2, onset(node).length * 6.4);
      graph.setNode(node.id, { width: Math.max(100, longest + 20), height: node.onset_ms === null ? 34 : 62 });
    }
    for (const call of data.calls) graph.setEdge(call.caller, call.callee, { width: 60, height: call.failed ? 14 : 0, labelpos: "c" });
    dagre.layout(graph);
    const { width, height } = graph.graph();
    const svg = make("svg", { class: "servicemap", width, height, viewBox: "0 0 " + width + " " + height, role: "group", "aria-label": "Services of this incident and their calls" });
    for (const call of data.calls) {
      const at = graph.edge(call.caller, call.callee);
      const said = call.caller + " calls " + call.callee + (call.failed ? ", " + Math.round(call.failed * 100) + " % fail" : "") + (call.source === "declared" ? ", declared" : "") + (call.suspect ? ", suspected path" : "");
      const group = make("g", { role: "img", "aria-label": said });
      const line = at.points.map((p, n) => (n ? "L" : "M") + p.x + " " + p.y).join("");
      const path = make("path", { d: line, class: call.suspect ? "suspect" : "" });
      if (call.source === "declared") path.setAttribute("stroke-dasharray", "2 5");
      const [a, b] = at.points.slice(-2);
      const turn = (Math.atan2(b.y - a.y, b.x - a.x) * 180) / Math.PI;
      group.append(make("title", {}, said), path, make("path", { d: "M0 0L-9 -4.5V4.5z", class: call.suspect ? "suspect" : "", transform: "translate(" + b.x + " " + b.y + ") rotate(" + turn + ")" }));
      if (call.failed) group.append(make("text", { x: at.x, y: at.y - 4, class: "small", "text-anchor": "middle" }, Math.round(call.failed * 100) + " % fail"));
      svg.append(group);
    }
    for (const node of data.nodes) {
      const at = graph.node(node.id);
      const link = make("a", { href: "/configuration/catalogue/" + encodeURIComponent(node.id), class: ROLES[node.role] ?? "", transform: "translate(" + (at.x - at.width / 2) + " " + (at.y - at.height / 2) + ")" });
      link.setAttribute("aria-label", node.id + ", " + node.role + (node.signal ? ", " + onset(node) + ": " + node.signal : ""));
      link.append(make("title", {}, node.role + (node.signal ? ": " + node.signal : "")), make("rect", { width: at.width, height: at.height, rx: node.role === "suspected cause" ? 0 : 8 }));
      link.append(make("text", { x: at.width / 2, y: 21, "text-anchor": "middle" }, cut(node.id, 28)));
      if (node.onset_ms !== null) {
        link.append(make("text", { x: at.width / 2, y: 37, class: "small", "text-anchor": "middle" }, onset(node)));
        link.append(make("text", { x: at.width / 2, y: 52, class: "small", "text-anchor": "middle" }, cut(node.signal, 34)));
      }
      svg.append(link);
    }
    figure.querySelector(".canvas").replaceChildren(svg);
  };
  const all = () => { for (const figure of document.querySelectorAll("[data-map]")) if (!figure.querySelector("svg")) draw(figure); };
  document.addEventListener("htmx:afterSettle", all);
  document.addEventListener("tocsin:zone", () => { for (const figure of document.querySelectorAll("[data-map]")) draw(figure); });
  document.addEventListener("DOMContentLoaded", all);
})();
