// Text with entities into elements. Offsets count UTF-16 units, as JavaScript strings do.

import { h, toast } from "./dom.js";
import { word } from "./words.js";

const TAGS = {
  bold: "b",
  italic: "i",
  underline: "u",
  strikethrough: "s",
  blockquote: "blockquote",
  expandable_blockquote: "blockquote",
};

/** Nodes for a text; `onCommand` is called with "/command" when one is pressed. */
export function formatted(text, entities, onCommand) {
  const sorted = [...(entities ?? [])].sort((a, b) => a.offset - b.offset || b.length - a.length);
  return nodes(text, 0, text.length, sorted, onCommand);
}

function nodes(text, start, end, entities, onCommand) {
  const made = [];
  let at = start;
  let rest = entities.filter((e) => e.offset < end && e.offset + e.length > start);
  while (rest.length) {
    const [entity, ...others] = rest;
    const from = Math.max(entity.offset, at);
    const to = Math.min(entity.offset + entity.length, end);
    if (to <= from) {
      rest = others;
      continue;
    }
    if (from > at) made.push(text.slice(at, from));
    const inside = others.filter((e) => e.offset < to);
    made.push(wrap(entity, text.slice(from, to), nodes(text, from, to, inside, onCommand), onCommand));
    at = to;
    rest = others.filter((e) => e.offset + e.length > to);
  }
  if (at < end) made.push(text.slice(at, end));
  return made;
}

function wrap(entity, text, children, onCommand) {
  const tag = TAGS[entity.type];
  if (tag) return h(tag, {}, children);
  switch (entity.type) {
    case "code":
      return h("code", { onclick: () => copy(text) }, children);
    case "pre":
      return h("pre", {}, children);
    case "spoiler":
      return h("button.spoiler", { type: "button", onclick: (e) => e.currentTarget.classList.add("open") }, children);
    case "bot_command":
      return h("button.command", { type: "button", onclick: () => onCommand(text) }, children);
    case "email":
      return h("a", { href: `mailto:${text}` }, children);
    case "url":
    case "text_link":
      return link(entity.url ?? text, children);
    case "mention":
    case "hashtag":
      return h("span.mention", {}, children);
    default:
      return h("span", {}, children);
  }
}

/** A link that opens beside the chat; anything but the web and mail is shown as plain text. */
export function link(address, children, what = "a") {
  const url = /^[a-z][a-z0-9+.-]*:/i.test(address) ? address : `https://${address}`;
  if (!/^(https?|mailto|tel):/i.test(url)) return h("span", {}, children);
  return h(what, { href: url, target: "_blank", rel: "noopener noreferrer" }, children);
}

async function copy(text) {
  await navigator.clipboard?.writeText(text);
  toast(word("copied"));
}
