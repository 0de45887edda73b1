// The list of messages: made once, changed in place, so that a playing film goes on through an edit.

import { $, h, icon } from "./dom.js";
import { formatted, link } from "./entities.js";
import { media, mediaKey, mediaKind, summary, textOf } from "./media.js";
import { withDeeds } from "./deeds.js";
import { clock, day, money, word } from "./words.js";

const STICK_PX = 80;
const shown = new Map(); // message_id -> { message, node, parts }
let unread = 0;

const list = $("messages");
const log = $("log");

/** Show new and changed messages. `actions`: command, tap, pay, copied, and what a message's menu does. */
export function show(messages, actions) {
  const stick = log.scrollHeight - log.scrollTop - log.clientHeight < STICK_PX;
  let added = 0;
  for (const message of messages) {
    if (message.deleted) remove(message.message_id);
    else if (shown.has(message.message_id)) change(message, actions);
    else added += add(message, actions);
  }
  if (messages.length) arrange();
  if (stick || messages.some((message) => added && !message.from?.is_bot)) toEnd();
  else setUnread(unread + added);
}

export const count = () => shown.size;

export function toEnd(smooth = false) {
  log.scrollTo({ top: log.scrollHeight, behavior: smooth ? "smooth" : "instant" });
  setUnread(0);
}

function setUnread(number) {
  unread = number;
  $("unread").textContent = number || "";
}

log.addEventListener("scroll", () => {
  const away = log.scrollHeight - log.scrollTop - log.clientHeight > STICK_PX * 2;
  $("to-end").hidden = !away;
  if (!away) setUnread(0);
});
$("to-end").addEventListener("click", () => toEnd(true));
// Pictures and films get their height late; whoever is at the end stays there.
new ResizeObserver(() => {
  if ($("to-end").hidden) toEnd();
}).observe(list);

function remove(messageId) {
  shown.get(messageId)?.node.remove();
  shown.delete(messageId);
}

function add(message, actions) {
  const entry = { message, node: h("li"), parts: {} };
  entry.node.id = `m${message.message_id}`;
  shown.set(message.message_id, entry);
  fill(entry, actions);
  const after = [...list.children].find((node) => node.id && Number(node.id.slice(1)) > message.message_id);
  list.insertBefore(entry.node, after ?? null);
  return 1;
}

function change(message, actions) {
  const entry = shown.get(message.message_id);
  entry.message = message;
  fill(entry, actions);
}

const PARTS = {
  origin: [(m) => m.forward_origin, (m) => m.forward_origin && h("p.origin", {}, word("forwarded", m.forward_origin.sender_user.first_name))],
  quote: [(m) => m.reply_to_message?.message_id, (m) => m.reply_to_message && quote(m.reply_to_message)],
  media: [mediaKey, (m, actions) => media(m, actions.pay)],
  text: [
    (m) => [m.text, m.entities, m.caption, m.caption_entities],
    (m, actions) => textOf(m) && h("div.text", { dir: "auto" }, formatted(textOf(m), m.entities ?? m.caption_entities, actions.command)),
  ],
  meta: [(m) => [m.date, m.edit_date], meta],
};

/** Fill a message's element, replacing only the parts that changed. */
function fill(entry, actions) {
  const { message, node, parts } = entry;
  const own = !message.from?.is_bot;
  const service = message.successful_payment ?? message.refunded_payment;
  node.className = service ? "service" : own ? "own" : "bot";
  node.classList.toggle("bare", ["photo", "video", "animation"].includes(mediaKind(message)) && !textOf(message) && !message.forward_origin && !message.reply_to_message);
  node.classList.toggle("framed", ["photo", "video", "animation"].includes(mediaKind(message)));
  if (service) {
    const sum = money(service.total_amount, service.currency);
    node.replaceChildren(h("p", {}, word(message.successful_payment ? "paidNote" : "refundedNote", sum)));
    return;
  }
  parts.bubble ??= node.appendChild(withDeeds(h("div.bubble"), () => entry.message, actions));
  for (const [name, [keyOf, make]] of Object.entries(PARTS)) {
    const key = JSON.stringify(keyOf(message) ?? "");
    if (parts[name]?.key === key) continue;
    const made = make(message, actions) || document.createComment(name);
    if (parts[name]) parts[name].node.replaceWith(made);
    else parts.bubble.append(made);
    parts[name] = { key, node: made };
  }
  const markup = message.reply_markup?.inline_keyboard;
  parts.keyboard?.remove();
  parts.keyboard = markup ? node.appendChild(keyboard(message, markup, actions)) : null;
}

function meta(message) {
  const edited = message.edit_date ? `${word("edited")} ` : "";
  const time = h("time", { dateTime: new Date(message.date * 1000).toISOString() }, clock(message.date));
  return h("span.meta", {}, edited, time, message.from?.is_bot ? null : icon("checks"));
}

function quote(message) {
  const name = message.from?.first_name ?? "";
  const jump = () => $(`m${message.message_id}`)?.scrollIntoView({ block: "center", behavior: "smooth" });
  return h("button.quote", { type: "button", onclick: jump }, h("b", {}, name), h("span", {}, summary(message)));
}

function keyboard(message, rows, actions) {
  return h("div.inline", { role: "group" }, rows.map((row) => h("div.inline-row", {}, row.map((button) => inlineButton(message, button, actions)))));
}

function inlineButton(message, button, actions) {
  const look = button.style ? `.${button.style}` : "";
  if (button.url) return link(button.url, [button.text, icon("link")], `a.key${look}`);
  const press = (event) => {
    const node = event.currentTarget;
    if (button.pay) actions.pay(message, node);
    else if (button.copy_text) actions.copied(button.copy_text.text);
    else if (button.callback_data) actions.tap(message, button.callback_data, node);
  };
  return h(`button.key${look}`, { type: "button", onclick: press, disabled: button.pay && message.paid }, button.text);
}

/** Days between messages, albums side by side, tails only on the last bubble of a run. */
function arrange() {
  for (const node of list.querySelectorAll(".day")) node.remove();
  let before = null;
  const nodes = [...list.children];
  nodes.forEach((node, index) => {
    const { message } = shown.get(Number(node.id.slice(1)));
    const next = shown.get(Number(nodes[index + 1]?.id.slice(1)))?.message;
    if (!before || day(before.date) !== day(message.date)) list.insertBefore(h("li.day", {}, h("p", {}, day(message.date))), node);
    const sameRun = (a, b) => a && b && a.from?.id === b.from?.id && Math.abs(a.date - b.date) < 300 && day(a.date) === day(b.date);
    node.classList.toggle("follows", Boolean(sameRun(before, message)));
    node.classList.toggle("last", !sameRun(message, next) || Boolean(next?.successful_payment ?? next?.refunded_payment));
    const group = message.media_group_id;
    node.classList.toggle("album", Boolean(group) && (before?.media_group_id === group || next?.media_group_id === group));
    before = message;
  });
}
