// Starts the page: who is talking, what was said before, and then whatever comes.

import * as api from "./api.js";
import { aim, say, setCommands, startEdit } from "./composer.js";
import { $, alertBox, h, toast } from "./dom.js";
import { count, show, toEnd } from "./messages.js";
import { showControls } from "./controls.js";
import { follow, setBot } from "./links.js";
import { LANGUAGES, language, speak, word } from "./words.js";

const POLL_S = 25;
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 8000;
const ACTION_MS = 5000;
const TAP_PATIENCE_MS = 15_000;

const taps = new Map(); // callback query id -> the button that waits
let acting = 0;
let blocked = false;
let hasCommands = false;
let payload = new URLSearchParams(location.search).get("start") ?? ""; // of the link that led here

const actions = {
  command: (text) => say(text).catch(() => {}),
  copied: async (text) => {
    await navigator.clipboard?.writeText(text);
    toast(word("copied"));
  },
  tap: async (message, data, button) => {
    if (button.classList.contains("waiting")) return;
    button.classList.add("waiting");
    const release = () => button.classList.remove("waiting");
    try {
      const { callback_query_id: id } = await api.tap(message.message_id, data);
      taps.set(id, release);
      setTimeout(() => taps.delete(id) && release(), TAP_PATIENCE_MS);
    } catch (error) {
      release();
      toast(`${word("failed")}: ${error.message}`, "error");
    }
  },
  pay: async (message, button) => {
    const label = button.textContent;
    button.disabled = true;
    button.textContent = word("paying");
    try {
      const outcome = await api.pay({ message_id: message.message_id });
      if (outcome.state === "declined") alertBox(`${word("declined")}: ${outcome.reason}`);
      else if (outcome.state !== "paid") alertBox(word("timedOut"));
      if (outcome.state === "paid") return;
    } catch (error) {
      toast(`${word("failed")}: ${error.message}`, "error");
    }
    button.disabled = false;
    button.textContent = label;
  },
  reply: (message) => aim({ message, deed: "reply" }),
  edit: startEdit,
  forward: (message) => api.forward(message.message_id).catch((error) => toast(`${word("failed")}: ${error.message}`, "error")),
};

function take({ messages, notices }) {
  show(messages, actions);
  if (messages.some((message) => message.from?.is_bot)) setAction("");
  for (const notice of notices) {
    if (notice.type === "chat_action") setAction(notice.action);
    if (notice.type === "callback_answer") answered(notice);
  }
  const empty = count() === 0;
  $("welcome").hidden = !empty;
  $("start").hidden = !(empty || blocked || payload);
  $("line").hidden = !$("start").hidden;
  $("start").textContent = word(blocked ? "unblock" : "start");
}

function answered({ callback_query_id: id, text, show_alert: loud, url }) {
  taps.get(id)?.();
  taps.delete(id);
  if (text && loud) alertBox(text);
  else if (text) toast(text);
  if (url) follow(url).then((known) => !known && /^https?:/i.test(url) && open(url, "_blank", "noopener"));
}

function setAction(action) {
  clearTimeout(acting);
  const words = action && word("actions")[action];
  $("status").textContent = words || word("bot");
  $("status").classList.toggle("acting", Boolean(words));
  if (words) acting = setTimeout(() => setAction(""), ACTION_MS);
}

async function listen() {
  let after = 0;
  let wait = 0;
  let pause = RETRY_MIN_MS;
  for (;;) {
    try {
      const news = await api.news(after, wait);
      if (news.next < after) location.reload(); // the sandbox was wiped and counts from the start again
      take(news);
      if (!wait) requestAnimationFrame(() => toEnd());
      if (!hasCommands && news.messages.some((message) => message.from?.is_bot)) await refresh();
      ({ next: after } = news);
      wait = POLL_S;
      pause = RETRY_MIN_MS;
      $("offline").hidden = true;
    } catch {
      $("offline").hidden = false;
      await new Promise((resolve) => setTimeout(resolve, pause));
      pause = Math.min(RETRY_MAX_MS, pause * 2);
    }
  }
}

async function refresh(wanted = "") {
  const found = await api.profile(wanted);
  blocked = found.blocked;
  speak(found.user.language_code);
  document.title = `${found.bot.first_name} · ${found.user.first_name}`;
  $("bot-name").textContent = found.bot.first_name;
  setBot(found.bot.username);
  $("description").textContent = found.description || word("emptyChat");
  $("chip").textContent = found.user.first_name;
  $("chip").title = `id ${found.user.id}`;
  $("block").textContent = word(blocked ? "unblock" : "block");
  hasCommands = found.commands.length > 0;
  setCommands(found.commands);
}

// The side: people, language, blocking

async function side() {
  const { users } = await api.people();
  const link = (person) =>
    h(
      "a",
      { href: `?user=${person.id}`, "aria-current": String(person.id) === api.user ? "page" : null },
      h(`span.face.f${person.id % 6}`, { "aria-hidden": "true" }, person.first_name[0]),
      h("span", {}, h("b", {}, person.first_name), h("small", {}, `id ${person.id} · ${person.language_code ?? ""}`)),
    );
  $("people").replaceChildren(...users.sort((a, b) => a.id - b.id).map((person) => h("li", {}, link(person))));
  const free = Math.max(0, ...users.map((person) => person.id)) + 1;
  for (const id of ["add-person", "reset-other"]) $(id).href = `?user=${free}&lang=${language()}`;
  $("languages").replaceChildren(
    ...Object.entries(LANGUAGES).map(([code, name]) =>
      h("a", { href: `?user=${api.user}&lang=${code}`, "aria-current": code === language() ? "true" : null }, name),
    ),
  );
}

async function toggleBlock() {
  try {
    await api.stand(blocked ? "unblock" : "block");
    await refresh();
    take({ messages: [], notices: [] });
  } catch (error) {
    toast(`${word("failed")}: ${error.message}`, "error");
  }
}

$("block").addEventListener("click", toggleBlock);
$("start").addEventListener("click", () => (blocked ? toggleBlock() : start()));

/** Press Start: with the payload of the link that led here, once. */
async function start() {
  try {
    await say(payload ? `/start ${payload}` : "/start");
  } catch {
    return;
  }
  payload = "";
  const here = new URL(location);
  here.searchParams.delete("start");
  history.replaceState(null, "", here);
  take({ messages: [], notices: [] });
}

$("reset").addEventListener("click", () => $("reset-sheet").showModal());
$("reset-cancel").addEventListener("click", () => $("reset-sheet").close());
$("reset-form").addEventListener("submit", async () => {
  try {
    await api.stand("reset");
    location.reload();
  } catch (error) {
    toast(`${word("failed")}: ${error.message}`, "error");
  }
});
$("open-side").addEventListener("click", (event) => {
  event.stopPropagation();
  document.body.classList.toggle("side-open");
});
document.addEventListener("click", (event) => {
  if (!event.target.closest("#side")) document.body.classList.remove("side-open");
});
$("viewer").addEventListener("click", () => $("viewer").close());

// Dialogs open in the middle of the phone, not of the window.
function measure() {
  const { left, width } = document.querySelector(".phone").getBoundingClientRect();
  document.documentElement.style.setProperty("--phone-shift", `${left + width / 2 - innerWidth / 2}px`);
}
addEventListener("resize", measure);
measure();

speak(api.wantedLanguage || "ru");
await refresh(api.wantedLanguage).catch((error) => toast(error.message, "error"));
setAction("");
await side().catch(() => {});
await showControls().catch(() => {});
listen();
