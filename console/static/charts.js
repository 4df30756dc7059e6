// Charts of a spec , as JSON: drawn by uPlot, in the reader's zone and look, with the same as a table.
// spec = {title, unit, t: [ms] | labels: [text], series: [{name, values, kind, tone}], band: {lower, upper, name},
//         marks: [{at, text, tone}], spans: [{from, to, text, tone}], sync, height,
//         scale: [low, high], compact: no legend, no table of its own, times only where `foot`}
"use strict";

(() => {
  const TONES = { main: "--link", calm: "--dim", bad: "--bad", ok: "--ok", mark: "--mark", warn: "--warn" };
  const MOST_ROWS = 500;
  const drawn = new Map();

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const tone = (name) => colour(TONES[name] ?? TONES.main);
  const number = (value) => {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    if (size !== 0 && (size < 0.001 || size >= 1e9)) return value.toExponential(2);
    return new Intl.NumberFormat("en", { maximumSignificantDigits: size >= 1000 ? 6 : 4 }).format(value);
  };
  const node = (name, text, className) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };

  const paths = (kind) => {
    if (kind === "bars") return uPlot.paths.bars({ size: [0.7, 48] });
    if (kind === "step") return uPlot.paths.stepped({ align: 1 });
    if (kind === "points") return () => null;
    return uPlot.paths.linear();
  };

  // Marks and spans, under and over the lines.
  const overlay = (spec) => (plot) => {
    const { ctx, bbox } = plot;
    const ratio = devicePixelRatio || 1;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const span of spec.spans ?? []) {
      const from = plot.valToPos(span.from, "x", true);
      const to = plot.valToPos(span.to, "x", true);
      ctx.globalAlpha = 0.14;
      ctx.fillStyle = tone(span.tone ?? "bad");
      ctx.fillRect(from, bbox.top, Math.max(to - from, 2 * ratio), bbox.height);
      ctx.globalAlpha = 1;
    }
    ctx.font = 11 * ratio + "px system-ui, sans-serif";
    ctx.textBaseline = "top";
    let row = 0;
    for (const mark of spec.marks ?? []) {
      const at = Math.round(plot.valToPos(mark.at, "x", true));
      if (at < bbox.left || at > bbox.left + bbox.width) continue;
      ctx.strokeStyle = ctx.fillStyle = tone(mark.tone ?? "mark");
      ctx.setLineDash([4 * ratio, 3 * ratio]);
      ctx.lineWidth = ratio;
      ctx.beginPath();
      ctx.moveTo(at, bbox.top);
      ctx.lineTo(at, bbox.top + bbox.height);
      ctx.stroke();
      const width = ctx.measureText(mark.text ?? "").width;
      const left = at + 4 * ratio + width > bbox.left + bbox.width ? at - width - 4 * ratio : at + 4 * ratio;
      ctx.fillText(mark.text ?? "", left, bbox.top + (2 + (row++ % 3) * 13) * ratio);
    }
    ctx.restore();
  };

  const table = (spec) => {
    const details = node("details");
    details.append(node("summary", "Data"));
    details.addEventListener("toggle", () => {
      if (!details.open || details.children.length > 1) return;
      const x = spec.t ?? spec.labels;
      const columns = [...spec.series.map((one) => [one.name, one.values])];
      if (spec.band) columns.push([(spec.band.name ?? "expected") + ", from", spec.band.lower], ["to", spec.band.upper]);
      const made = node("table");
      const head = made.createTHead().insertRow();
      for (const name of [spec.t ? "time" : "", ...columns.map(([name]) => name)]) {
        const cell = node("th", name);
        cell.scope = "col";
        head.append(cell);
      }
      const body = made.createTBody();
      for (let at = Math.max(0, x.length - MOST_ROWS); at < x.length; at++) {
        const row = body.insertRow();
        row.insertCell().textContent = spec.t ? tocsin.text(x[at], "minute").replace(/ (\S+)$/, "") + " " + tocsin.text(x[at], "second").slice(6, 8) + " s" : x[at];
        for (const [, values] of columns) row.insertCell().textContent = number(values[at]);
      }
      const holder = node("div", undefined, "wide");
      holder.tabIndex = 0;
      if (x.length > MOST_ROWS) holder.append(node("p", "the last " + MOST_ROWS + " of " + x.length, "note"));
      holder.append(made);
      details.append(holder);
    });
    return details;
  };

  const summary = (spec) => {
    const said = (spec.series ?? []).map((one) => {
      const known = one.values.filter((value) => value !== null);
      if (!known.length) return one.name + ": nothing";
      return one.name + ": " + number(Math.min(...known)) + " to " + number(Math.max(...known));
    });
    return (spec.title ?? "Chart") + (spec.unit ? " in " + spec.unit : "") + ". " + said.join("; ");
  };

  const draw = (figure, spec) => {
    drawn.get(figure)?.destroy();
    drawn.delete(figure);
    figure.classList.add("chart");
    const open = figure.querySelector("details")?.open;
    figure.replaceChildren();
    const caption = node("figcaption", spec.title ?? "");
    if (spec.unit) caption.append(" ", node("small", spec.unit));
    figure.append(caption);
    const x = spec.t ?? spec.labels ?? [];
    if (!x.length || !(spec.series ?? []).some((one) => one.values.some((value) => value !== null))) {
      figure.append(node("p", spec.empty ?? "No values in this time.", "none"));
      return;
    }
    const holder = node("div", undefined, "plot");
    holder.setAttribute("role", "img");
    holder.setAttribute("aria-label", summary(spec));
    figure.append(holder);
    const line = colour("--line");
    const dim = colour("--dim");
    const data = [spec.t ?? spec.labels.map((_, at) => at)];
    const series = [{ label: spec.t ? "time" : "", value: (_, at) => (at === null ? "–" : spec.t ? tocsin.text(at, "second") : spec.labels[at]) }];
    const bands = [];
    if (spec.band) {
      const quiet = { stroke: "transparent", points: { show: false }, value: (_, v) => number(v) };
      data.push(spec.band.upper, spec.band.lower);
      series.push({ ...quiet, label: (spec.band.name ?? "expected") + " to" }, { ...quiet, label: "from" });
      bands.push({ series: [1, 2], fill: colour("--band") });
    }
    for (const one of spec.series) {
      data.push(one.values);
      const stroke = tone(one.tone);
      series.push({
        label: one.name,
        stroke,
        fill: one.kind === "bars" ? stroke + "99" : undefined,
        width: one.tone === "calm" ? 1 : 1.6,
        dash: one.dash ? [5, 4] : undefined,
        paths: paths(one.kind),
        points: { show: one.kind === "points" || x.length < 3, size: 5, fill: stroke },
        value: (_, v) => number(v),
      });
    }
    const axis = { stroke: dim, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: "11px system-ui, sans-serif" };
    const bars = spec.series.some((one) => one.kind === "bars");
    const options = {
      width: Math.max(holder.clientWidth, 200),
      height: spec.height ?? 170,
      ms: 1,
      tzDate: tocsin.zone() === "UTC" ? (ms) => uPlot.tzDate(new Date(ms), "Etc/UTC") : undefined,
      scales: {
        x: { time: Boolean(spec.t), range: bars || x.length < 2 ? (_, low, high) => { const pad = x.length > 1 ? (high - low) / (x.length - 1) / 2 : spec.t ? 43200000 : 0.5; return [low - pad, high + pad]; } : undefined },
        y: { range: spec.scale ? () => [spec.scale[0], spec.scale[1] * 1.08] : (_, low, high) => { const [from, to] = uPlot.rangeNum(bars ? Math.min(low, 0) : low, high === low ? low + (Math.abs(low) || 1) : high, 0.08, true); return [bars && low >= 0 ? 0 : from, to]; } },
      },
      axes: [
        spec.compact && !spec.foot ? { ...axis, size: 6, space: 80, ticks: { show: false }, values: (_, ats) => ats.map(() => "") } : spec.t ? { ...axis, space: 80, values: (_, ats, __, ___, step) => ats.map((at) => (step >= 86400000 ? tocsin.text(at, "day").slice(5) : tocsin.text(at, "second").slice(0, step >= 60000 ? 5 : 8))) } : { ...axis, splits: (plot) => { const step = Math.ceil((x.length * 70) / Math.max(plot.width, 70)); return data[0].filter((at) => at % step === 0); }, values: (_, ats) => ats.map((at) => spec.labels[at] ?? "") },
        { ...axis, size: 58, space: spec.compact ? 14 : 30, values: (_, values) => values.map((value) => new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 }).format(value)) },
      ],
      series,
      bands,
      cursor: { sync: spec.sync ? { key: spec.sync } : undefined, drag: { x: true, y: false } },
      legend: { show: !spec.compact, live: true },
      hooks: { drawAxes: [overlay(spec)] },
    };
    const plot = new uPlot(options, data, holder);
    drawn.set(figure, plot);
    watcher.observe(holder);
    const said = [...(spec.marks ?? []).map((one) => [one.at, one.text]), ...(spec.spans ?? []).map((one) => [one.from, one.text])].filter(([, text]) => text);
    if (said.length) {
      const list = node("ul", undefined, "said");
      for (const [at, text] of said.slice(0, 12)) {
        const item = node("li");
        item.append(node("b", spec.t ? tocsin.text(at, "second") : String(at)), " " + text);
        list.append(item);
      }
      figure.append(list);
    }
    if (spec.compact) return;
    const details = table(spec);
    figure.append(details);
    if (open) details.open = true;
  };

  const watcher = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const plot = drawn.get(target.parentElement);
      if (plot && Math.abs(plot.width - target.clientWidth) > 2 && target.clientWidth > 0) plot.setSize({ width: target.clientWidth, height: plot.height });
    }
  });

  const specs = new WeakMap();
  tocsin.chart = (figure, spec) => { specs.set(figure, spec); draw(figure, spec); return drawn.get(figure); };
  const all = (root = document) => {
    const inside = [...root.querySelectorAll("[data-chart]")];
    if (root.matches?.("[data-chart]")) inside.push(root);
    for (const figure of inside) if (!specs.has(figure)) tocsin.chart(figure, JSON.parse(figure.dataset.chart));
    for (const [figure, plot] of drawn) if (!figure.isConnected) { plot.destroy(); drawn.delete(figure); }
  };
  const again = () => { for (const figure of [...drawn.keys()]) if (figure.isConnected) draw(figure, specs.get(figure)); };
  document.addEventListener("tocsin:zone", again);
  document.addEventListener("tocsin:theme", again);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  document.addEventListener("htmx:afterSettle", (event) => all(event.target));
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", () => all());
  else all();
})();
