// What a person can do with a message: a small menu, opened by its button, a right click or a long press.

import { $, h, icon } from "./dom.js";
import { mediaKind } from "./media.js";
import { word } from "./words.js";

const EDITABLE_S = 48 * 3600;
const menu = h("div.deeds", { id: "deeds", popover: "auto", role: "menu" });
document.body.append(menu);

/** The bubble, with a button and a right click or long press that open the menu of the message `current` returns. */
export function withDeeds(bubble, current, actions) {
  const button = h("button.handle", {
    type: "button", "aria-haspopup": "menu", "aria-label": word("deeds"), title: word("deeds"),
    onclick: () => open(button, current(), actions),
  }, icon("dots"));
  bubble.append(button);
  bubble.addEventListener("contextmenu", (event) => {
    if (event.target.closest("a, video") || String(getSelection())) return;
    event.preventDefault();
    open(button, current(), actions);
  });
  return bubble;
}

function deedsOf(message) {
  const own = !message.from?.is_bot && !message.forward_origin;
  const fresh = Date.now() / 1000 - message.date < EDITABLE_S;
  return ["reply", ...(own && fresh ? ["edit"] : []), ...(mediaKind(message) === "invoice" ? [] : ["forward"])];
}

function open(button, message, actions) {
  const items = deedsOf(message).map((deed) =>
    h("button", { type: "button", role: "menuitem", onclick: () => choose(deed, message, actions) }, icon(deed), h("span", {}, word(`deed_${deed}`))));
  menu.replaceChildren(...items);
  menu.showPopover();
  const { top, bottom, left, right } = button.getBoundingClientRect();
  const edge = document.querySelector(".phone").getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  const x = left + width > edge.right - 8 ? right - width : left;
  const y = bottom + height > edge.bottom - 8 ? top - height - 4 : bottom + 4;
  menu.style.left = `${Math.max(edge.left + 8, x)}px`;
  menu.style.top = `${Math.max(edge.top + 8, y)}px`;
  items[0].focus();
}

function choose(deed, message, actions) {
  menu.hidePopover();
  actions[deed](message);
}

menu.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const items = [...menu.children];
  items.at((items.indexOf(document.activeElement) + step) % items.length).focus();
});
$("log").addEventListener("scroll", () => menu.hidePopover(), { passive: true });
