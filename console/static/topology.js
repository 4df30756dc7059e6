// Draws who calls whom: laid out by dagre, as SVG whose services are links.
"use strict";

(() => {
  const LEAST = 0.35;
  const NS = "http://www.w3.org/2000/svg";
  const make = (name, attributes = {}, text) => {
    const node = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const cut = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);
  const WORDS = { both: "declared and seen", declared: "declared, not seen", seen: "seen, not declared" };
  const rate = (value) => (value >= 10 ? Math.round(value).toLocaleString("en") : String(Math.round(value * 10) / 10)) + "/min";

  const MANY = 30; // calls: beyond them rates are left to the table, lest the drawing be all numbers
  const labelOf = (edge, many) => {
    const said = [];
    if (edge.per_minute && !many) said.push(rate(edge.per_minute));
    if (edge.failed >= 0.01) said.push(Math.round(edge.failed * 100) + " % fail");
    if (edge.conflict) said.push("!");
    return said.join(", ");
  };
  const describe = (edge) => {
    const said = [edge.caller + " calls " + edge.callee, WORDS[edge.kind]];
    if (edge.per_minute) said.push(rate(edge.per_minute));
    if (edge.failed) said.push((edge.failed * 100).toFixed(1) + " % of calls fail");
    if (edge.conflict) said.push("catalogue and telemetry disagree: " + edge.conflict);
    return said.join("; ");
  };
  const subOf = (node) => [node.owner, node.tier ? "tier " + node.tier : "", node.listed ? "" : "no entry"].filter(Boolean).join(" · ");

  const curve = (points) => {
    let path = "M" + points[0].x + " " + points[0].y;
    for (let i = 1; i < points.length - 1; i++) {
      const x = (points[i].x + points[i + 1].x) / 2;
      const y = (points[i].y + points[i + 1].y) / 2;
      path += " Q" + points[i].x + " " + points[i].y + " " + x + " " + y;
    }
    const last = points[points.length - 1];
    return path + " L" + last.x + " " + last.y;
  };
  const arrow = (points, failing) => {
    const [a, b] = points.slice(-2);
    const turn = (Math.atan2(b.y - a.y, b.x - a.x) * 180) / Math.PI;
    return make("path", { d: "M0 0L-9 -4.5V4.5z", class: "head-of" + (failing ? " failing" : ""), transform: `translate(${b.x} ${b.y}) rotate(${turn})` });
  };

  const draw = (figure) => {
    const data = JSON.parse(figure.dataset.graph);
    const graph = new dagre.graphlib.Graph({ multigraph: false });
    const many = data.edges.length > MANY;
    graph.setGraph({ rankdir: figure.clientWidth < 700 ? "TB" : "LR", nodesep: many ? 12 : 22, ranksep: many ? 55 : 90, marginx: 14, marginy: 14 });
    graph.setDefaultEdgeLabel(() => ({}));
    for (const node of data.nodes) {
      const longest = Math.max(cut(node.name, 26).length * 7.8, cut(subOf(node), 34).length * 6.2);
      graph.setNode(node.id, { width: Math.max(90, longest + 24), height: subOf(node) ? 44 : 32 });
    }
    for (const edge of data.edges) {
      const label = labelOf(edge, many);
      graph.setEdge(edge.caller, edge.callee, { width: label.length * 6, height: label ? 14 : 0, labelpos: "c" });
    }
    dagre.layout(graph);
    const size = graph.graph();
    const width = Math.ceil(size.width) || 100, height = Math.ceil(size.height) || 60;
    const svg = make("svg", { class: "map", width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Services and their calls" });
    const edges = [], labels = [];
    for (const edge of data.edges) {
      const at = graph.edge(edge.caller, edge.callee);
      const failing = edge.failed >= 0.01;
      const group = make("g", { role: "img", "aria-label": describe(edge) });
      const line = make("path", { d: curve(at.points), class: "edge " + edge.kind + (failing ? " failing" : "") });
      group.append(make("title", {}, describe(edge)), line, arrow(at.points, failing));
      const label = labelOf(edge, many);
      if (label && at.x !== undefined) labels.push(make("rect", { x: at.x - label.length * 2.6, y: at.y - 7, width: label.length * 5.2, height: 14, class: "under", "aria-hidden": "true" }), make("text", { x: at.x, y: at.y + 4, class: "label", "text-anchor": "middle", "aria-hidden": "true" }, label));
      svg.append(group);
      edges.push([edge, line]);
    }
    svg.append(...labels);
    for (const node of data.nodes) {
      const at = graph.node(node.id);
      const depth = new URLSearchParams(location.search).get("depth") ?? "1";
      const again = node.id === data.chosen;
      const href = again ? "/configuration/catalogue/" + encodeURIComponent(node.id) : "/configuration/topology?service=" + encodeURIComponent(node.id) + "&depth=" + encodeURIComponent(depth);
      const link = make("a", { href, class: "node" + (again ? " chosen" : ""), transform: `translate(${at.x - at.width / 2} ${at.y - at.height / 2})` });
      const sub = subOf(node);
      link.setAttribute("aria-label", node.name + (sub ? ", " + sub : "") + (again ? ": its page" : ": what lies around it"));
      link.append(make("title", {}, node.id), make("rect", { class: "box" + (node.listed ? "" : " bare"), width: at.width, height: at.height, rx: 7 }));
      link.append(make("text", { x: at.width / 2, y: sub ? 19 : 21, "text-anchor": "middle" }, cut(node.name, 26)));
      if (sub) link.append(make("text", { x: at.width / 2, y: 35, class: "sub", "text-anchor": "middle" }, cut(sub, 34)));
      const light = (on) => () => {
        for (const [edge, line] of edges) if (edge.caller === node.id || edge.callee === node.id) line.classList.toggle("lit", on);
      };
      for (const name of ["focus", "pointerenter"]) link.addEventListener(name, light(true));
      for (const name of ["blur", "pointerleave"]) link.addEventListener(name, light(false));
      svg.append(link);
    }
    const canvas = figure.querySelector(".canvas");
    canvas.replaceChildren(svg);
    const chosen = data.chosen && graph.node(data.chosen);
    sizes(figure, canvas, svg, width, height, chosen);
  };

  // What is larger than the page is made to fit, as far as one can still read it.
  const sizes = (figure, canvas, svg, width, height, chosen) => {
    const fits = Math.max(LEAST, Math.min(1, (canvas.clientWidth - 4) / width));
    let scale = 1;
    const show = (to) => {
      scale = Math.max(LEAST, Math.min(2, to));
      svg.setAttribute("width", Math.ceil(width * scale));
      svg.setAttribute("height", Math.ceil(height * scale));
    };
    show(fits);
    if (chosen) canvas.scrollTo(chosen.x * scale - canvas.clientWidth / 2, chosen.y * scale - canvas.clientHeight / 2);
    if (fits === 1) return;
    const bar = document.createElement("p");
    bar.className = "sizes";
    const steps = [["Fit", () => fits], ["Smaller", () => scale / 1.4], ["Larger", () => scale * 1.4]];
    for (const [text, next] of steps) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = text;
      button.addEventListener("click", () => show(next()));
      bar.append(button);
    }
    figure.querySelector("figcaption").append(bar);
  };

  document.addEventListener("DOMContentLoaded", () => {
    const figure = document.getElementById("topology");
    if (figure) draw(figure);
  });
})();
