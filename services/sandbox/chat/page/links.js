// Links to this bot: they lead to its chat with a payload, as in Telegram, and never off this machine.

import * as api from "./api.js";
import { $, h, toast } from "./dom.js";
import { language, word } from "./words.js";

const PAYLOAD = /^[\w-]{1,64}$/;
let bot = "";

export const setBot = (username) => (bot = username.toLowerCase());

/** The payload of a link to this bot, "" without one; null: not such a link. */
function payloadOf(address) {
  let url;
  try {
    url = new URL(/^[a-z]+:/i.test(address) ? address : `https://${address}`);
  } catch {
    return null;
  }
  if (url.protocol === "tg:" && url.host === "resolve") return read(url, url.searchParams.get("domain") ?? "");
  if (!/^https?:$/.test(url.protocol) || !/^(www\.)?(t|telegram)\.me$/.test(url.host)) return null;
  // Sharing would offer the link to somebody else: here, somebody else follows it.
  if (url.pathname === "/share/url") return payloadOf(url.searchParams.get("url") ?? "");
  return read(url, url.pathname.slice(1));
}

function read(url, name) {
  if (name.toLowerCase() !== bot) return null;
  const payload = url.searchParams.get("start") ?? "";
  return PAYLOAD.test(payload) ? payload : "";
}

/** Ask who follows a link to this bot; false for any other link. */
export async function follow(address) {
  const payload = payloadOf(address.trim());
  if (payload === null) return false;
  const { users } = await api.people().catch(() => ({ users: [] }));
  const free = Math.max(0, ...users.map((person) => person.id)) + 1;
  const here = users.find((person) => String(person.id) === api.user);
  const to = (id) => `?${new URLSearchParams({ user: id, lang: language(), ...(payload && { start: payload }) })}`;
  $("follow-text").textContent = payload ? `/start ${payload}` : "/start";
  $("follow-ways").replaceChildren(
    h("a.primary", { href: to(free) }, word("followNew", free)),
    h("a.plain", { href: to(api.user) }, word("followHere", here?.first_name ?? api.user)),
  );
  $("follow").showModal();
  return true;
}

document.addEventListener("click", (event) => {
  const anchor = event.target.closest("#messages a[href]");
  if (!anchor || payloadOf(anchor.href) === null) return;
  event.preventDefault();
  follow(anchor.href);
});

$("link-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (await follow($("link").value)) $("link").value = "";
  else toast(word("notALink", `https://t.me/${bot}?start=…`), "error");
});
$("follow-cancel").addEventListener("click", () => $("follow").close());
