// Charts from the tables under them, and fragments fetched again at a hint from the server.
"use strict";

// <div class="chart" data-table="#id"></div>: first column is time in epoch seconds (data-value), the others are series.
function draw(place) {
  const table = document.querySelector(place.dataset.table);
  const rows = [...table.tBodies[0].rows];
  if (rows.length < 2) return;
  const value = cell => cell.dataset.value === undefined || cell.dataset.value === "" ? null : Number(cell.dataset.value);
  const names = [...table.tHead.rows[0].cells].map(cell => cell.textContent.trim());
  const columns = names.map((_, n) => rows.map(row => value(row.cells[n])));
  const order = columns[0].map((_, n) => n).sort((a, b) => columns[0][a] - columns[0][b]);
  const style = getComputedStyle(document.documentElement);
  const colors = ["--accent", "--bad", "--ok", "--warn"].map(name => style.getPropertyValue(name).trim());
  const ink = style.getPropertyValue("--soft").trim(), line = style.getPropertyValue("--line").trim();
  const axis = {stroke: ink, grid: {stroke: line, width: 1}, ticks: {stroke: line}};
  const form = new Intl.DateTimeFormat(document.documentElement.lang, {day: "numeric", month: "short", timeZone: "UTC"});
  const day = seconds => form.format(seconds * 1000);
  new uPlot({
    width: place.parentElement.clientWidth, height: 200, tzDate: seconds => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
    axes: [{...axis, values: (_, ticks) => ticks.map(day)}, axis],
    series: [{label: names[0], value: (_, seconds) => seconds === null ? "–" : day(seconds)}, ...names.slice(1).map((label, n) => ({label, stroke: colors[n % colors.length], width: 2}))],
  }, columns.map(column => order.map(n => column[n])), place);
}

// <main data-live="/live">: what has the topic in its data-topic is fetched again when the server says that it changed,
// and everything after a connection that was lost; not while somebody is at it, with the keyboard or in an opened part.
function listen(url) {
  const source = new EventSource(url);
  const again = topic => document.querySelectorAll(`[data-topic${topic && `~="${topic}"`}]`).forEach(part => {
    if (!part.contains(document.activeElement) && !part.querySelector("details[open]")) htmx.trigger(part, "again");
  });
  let lost = false;
  source.onmessage = event => event.data && again(event.data);
  source.onerror = () => lost = true;
  source.onopen = () => { if (lost) again(""); lost = false; };
  return source;
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".chart").forEach(draw);
  document.querySelector("nav [aria-current]")?.scrollIntoView({block: "nearest", inline: "center"});
  const live = document.querySelector("[data-live]");
  const pause = document.querySelector("[data-pause]");
  if (!live) return;
  let source = listen(live.dataset.live);
  if (pause) pause.addEventListener("click", () => {
    const on = pause.getAttribute("aria-pressed") === "true";
    pause.setAttribute("aria-pressed", String(!on));
    if (on) source = listen(live.dataset.live); else source.close();
    if (on) document.querySelectorAll("[data-topic]").forEach(part => htmx.trigger(part, "again"));
  });
});
document.addEventListener("htmx:afterSwap", event => event.target.querySelectorAll(".chart").forEach(draw));
