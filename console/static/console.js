// What every page does: times in the reader's zone, look, keys, CSRF token, messages.
"use strict";

window.tocsin = (() => {
  const stored = (key, fallback) => {
    try { return localStorage.getItem("tocsin." + key) ?? fallback; } catch { return fallback; }
  };
  const store = (key, value) => {
    try { localStorage.setItem("tocsin." + key, value); } catch { /* storage may be forbidden */ }
  };

  // -- times
  const zone = () => (stored("zone", "local") === "UTC" ? "UTC" : undefined);
  const forms = () => {
    const timeZone = zone();
    const make = (options) => new Intl.DateTimeFormat("en-GB", { timeZone, ...options });
    return {
      minute: make({ year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", timeZoneName: "short" }),
      second: make({ hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short" }),
      day: make({ year: "numeric", month: "2-digit", day: "2-digit" }),
    };
  };
  let form = forms();
  const zoneName = () => zone() ?? new Intl.DateTimeFormat().resolvedOptions().timeZone;
  // By how much the clocks of a zone are ahead of UTC at a moment, ms.
  const ahead = (ms, timeZone) => {
    const units = { year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" };
    const parts = new Intl.DateTimeFormat("en-US", { timeZone, hourCycle: "h23", ...units }).formatToParts(ms);
    const of = Object.fromEntries(parts.map((part) => [part.type, Number(part.value)]));
    return Date.UTC(of.year, of.month - 1, of.day, of.hour, of.minute, of.second) - Math.floor(ms / 1000) * 1000;
  };
  // A moment as the clocks of a zone show it, as fields of times have it: "2026-05-02T14:03:00".
  const wall = (ms, timeZone) => new Date(ms + ahead(ms, timeZone)).toISOString().slice(0, 19);
  // And back; NaN for what is no time. What is there twice when clocks go back is the first, what is skipped is an hour on.
  const moment = (words, timeZone) => {
    const shown = Date.parse(words + "Z");
    if (Number.isNaN(shown)) return NaN;
    const [before, after] = [shown - 86400000, shown + 86400000].map((near) => ahead(near, timeZone));
    const fits = [before, after].find((one) => ahead(shown - one, timeZone) === one);
    return shown - (fits ?? before);
  };
  const duration = (ms) => {
    const s = Math.round(Math.abs(ms) / 1000);
    if (s < 60) return s + " s";
    const m = Math.floor(s / 60);
    if (m < 60) return m + " min";
    const h = Math.floor(m / 60);
    if (h < 24) return m % 60 ? h + " h " + (m % 60) + " min" : h + " h";
    const d = Math.floor(h / 24);
    return h % 24 ? d + " d " + (h % 24) + " h" : d + " d";
  };
  // "2026-05-02 14:03 CEST", the order of ISO 8601.
  const text = (ms, kind) => {
    const parts = Object.fromEntries(form[kind].formatToParts(ms).map((p) => [p.type, p.value]));
    const day = parts.year + "-" + parts.month + "-" + parts.day;
    if (kind === "day") return day;
    const clock = parts.hour + ":" + parts.minute;
    if (kind === "second") return clock + ":" + parts.second + " " + parts.timeZoneName;
    return day + " " + clock + " " + parts.timeZoneName;
  };
  const set = (node, value) => { if (node.textContent !== value) node.textContent = value; };
  const relative = (node, now) => {
    const ms = Number(node.dataset.ms);
    if (node.dataset.form === "age") set(node, duration(now - ms));
    else set(node, ms >= now ? "in " + duration(ms - now) : duration(now - ms) + " over");
  };
  const times = (root = document) => {
    const now = Date.now();
    for (const node of root.querySelectorAll("time[data-ms]")) {
      const ms = Number(node.dataset.ms);
      if (node.dataset.form === "age" || node.dataset.form === "left") {
        relative(node, now);
        node.title = text(ms, "minute");
      } else set(node, text(ms, node.dataset.form));
    }
  };
  setInterval(() => {
    const now = Date.now();
    for (const node of document.querySelectorAll('time[data-form="age"], time[data-form="left"]')) relative(node, now);
  }, 1000);

  // -- messages
  const toast = (message, bad = false, undo = null) => {
    const node = document.createElement("p");
    node.className = bad ? "toast bad" : "toast";
    node.append(message);
    document.getElementById("toasts").append(node);
    if (undo) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Undo";
      button.addEventListener("click", () => { node.remove(); undo(); });
      node.append(" ", button);
    }
    setTimeout(() => node.remove(), bad || undo ? 10000 : 4000);
  };

  // -- requests
  const csrf = () => document.querySelector('meta[name="csrf"]').content;
  document.addEventListener("htmx:configRequest", (event) => { event.detail.headers["X-CSRF-Token"] = csrf(); });
  document.addEventListener("htmx:sendError", () => toast("The console does not answer. Nothing was changed; try again.", true));
  // A part that was loaded with its page and is not available now comes back by itself.
  document.addEventListener("htmx:afterRequest", (event) => {
    const { elt, xhr, requestConfig } = event.detail;
    if (xhr.status !== 503 || requestConfig.verb !== "get" || !elt.matches('[hx-trigger^="load"]')) return;
    setTimeout(() => { if (elt.isConnected) htmx.ajax("GET", elt.getAttribute("hx-get"), { source: elt, target: elt }); }, 5000);
  });
  document.addEventListener("htmx:afterSettle", (event) => times(event.target.parentElement ?? document));
  // `wrong` shows what was refused; a modal dialog covers messages, and shows it itself.
  const post = async (path, body, wrong = (words) => toast(words, true)) => {
    let answer;
    try {
      answer = await fetch(path, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf() },
        body: JSON.stringify(body),
      });
    } catch {
      wrong("The console does not answer. Nothing was changed; try again.");
      return null;
    }
    const said = await answer.json().catch(() => ({}));
    if (!answer.ok) {
      wrong(typeof said.detail === "string" ? said.detail : "refused (" + answer.status + ")");
      return null;
    }
    return said;
  };

  const banner = (html) => {
    const holder = document.getElementById("troubles");
    if (holder.innerHTML !== html) holder.innerHTML = html;
  };

  // -- what follows the console live
  // One stream a page, and none while nobody sees it: browsers allow six connections to a server of HTTP/1.1
  // for all tabs together. `mark` says how it stands; a reader who is logged out is told, once.
  const follow = (address, mark, events) => {
    let source = null;
    let again = 0;
    let wanted = true;
    const say = (words, on = false) => { mark.textContent = words; mark.classList.toggle("on", on); };
    const loggedOut = async () => {
      const answer = await fetch("/status", { redirect: "manual", headers: { "HX-Request": "true" } }).catch(() => null);
      return answer?.status === 401;
    };
    const connect = () => {
      clearTimeout(again);
      if (source || !wanted || document.visibilityState === "hidden") return;
      const mine = source = new EventSource(address);
      mine.addEventListener("open", () => say("live", true));
      for (const [name, take] of Object.entries(events)) mine.addEventListener(name, (event) => take(JSON.parse(event.data)));
      mine.addEventListener("error", async () => {
        if (source !== mine) return;
        say("reconnecting");
        if (mine.readyState !== EventSource.CLOSED) return; // it comes back by itself, unless it was refused
        source = null;
        if (await loggedOut()) {
          const link = document.createElement("a");
          link.href = "/login?next=" + encodeURIComponent(location.pathname + location.search);
          link.textContent = "You are logged out: log in";
          mark.replaceChildren(link);
          wanted = false;
        } else again = setTimeout(connect, 2000);
      });
    };
    const leave = () => { clearTimeout(again); source?.close(); source = null; };
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") leave();
      else connect();
    });
    window.addEventListener("pagehide", leave);
    window.addEventListener("pageshow", (event) => { if (event.persisted) connect(); });
    connect();
  };

  // -- keys
  const handlers = new Map();
  const onKey = (key, handler) => handlers.set(key, handler);
  let leader = 0;
  const typing = (node) => node.closest?.("input, textarea, select, [contenteditable], dialog");
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (Date.now() - leader < 1500) {
      leader = 0;
      const to = { i: "/incidents", a: "/analytics", p: "/pipeline", c: "/configuration" }[event.key];
      if (to) { event.preventDefault(); location.href = to; return; }
    }
    if (event.key === "g") { leader = Date.now(); return; }
    const handler = handlers.get(event.key);
    if (handler && handler(event) !== false) event.preventDefault();
  });

  document.addEventListener("DOMContentLoaded", () => {
    const zones = document.getElementById("zone");
    zones.value = stored("zone", "local");
    zones.addEventListener("change", () => { store("zone", zones.value); form = forms(); times(); document.dispatchEvent(new Event("tocsin:zone")); });
    const themes = document.getElementById("theme");
    themes.value = stored("theme", "auto");
    themes.addEventListener("change", () => {
      store("theme", themes.value);
      document.documentElement.dataset.theme = themes.value;
      document.dispatchEvent(new Event("tocsin:theme"));
    });
    const keys = document.getElementById("keys");
    document.getElementById("keys-open").addEventListener("click", () => keys.showModal());
    onKey("?", () => keys.showModal());
    onKey("/", () => { document.querySelector('input[type="search"]')?.focus(); });
    times();
  });

  return { stored, store, times, text, duration, zone, zoneName, wall, moment, toast, post, follow, banner, onKey };
})();
