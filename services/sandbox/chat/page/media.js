// What a message carries besides text: photos, films, files, invoices.

import { fileUrl } from "./api.js";
import { $, h, icon } from "./dom.js";
import { money, size, word } from "./words.js";

/** The key of a message's media (`photo`, `video`, ...), or undefined. */
export const mediaKind = (message) =>
  ["photo", "video", "animation", "document", "invoice"].find((kind) => message[kind]);

export const textOf = (message) => message.text ?? message.caption ?? "";

/** A message in a few words: its text, or what it carries. */
export const summary = (message) => textOf(message) || word(mediaKind(message) ?? "message");

/** What decides whether a shown medium is still the same after an edit. */
export function mediaKey(message) {
  const kind = mediaKind(message);
  if (!kind) return "";
  if (kind === "invoice") return JSON.stringify([message.invoice, message.paid]);
  const entry = kind === "photo" ? message.photo.at(-1) : message[kind];
  return `${kind}:${entry.file_id}`;
}

/** An element for a message's media, or null. */
export function media(message, onPay) {
  switch (mediaKind(message)) {
    case "photo":
      return photo(message.photo);
    case "video":
      return film(message.video, { controls: true, preload: "metadata" });
    case "animation":
      return film(message.animation, { autoplay: true, loop: true, controls: true });
    case "document":
      return file(message.document);
    case "invoice":
      return invoice(message, onPay);
    default:
      return null;
  }
}

function photo(sizes) {
  const shown = sizes.find((one) => Math.max(one.width, one.height) >= 800) ?? sizes.at(-1);
  const image = h("img", {
    src: fileUrl(shown.file_id),
    width: shown.width,
    height: shown.height,
    alt: word("photo"),
    decoding: "async",
  });
  const tall = shown.height > shown.width * 1.15 ? "" : null;
  return h("button.media.photo", { "data-tall": tall, type: "button", "aria-label": word("photo"), onclick: () => view(sizes.at(-1)) }, image);
}

function view(photoSize) {
  $("viewer-image").src = fileUrl(photoSize.file_id);
  $("viewer").showModal();
}

function film(video, how) {
  const poster = video.thumbnail ? fileUrl(video.thumbnail.file_id) : undefined;
  const player = h("video", {
    src: fileUrl(video.file_id),
    poster,
    width: video.width || 320,
    height: video.height || 180,
    playsInline: true,
    ...how,
  });
  player.muted = Boolean(how.autoplay);
  return h("div.media.film", { "data-tall": video.height > video.width ? "" : null }, player);
}

function file(document) {
  const preview = document.thumbnail
    ? h("img", { src: fileUrl(document.thumbnail.file_id), alt: "", width: 52, height: 52 })
    : icon("file");
  const name = h("span.file-name", {}, document.file_name ?? word("document"));
  const note = h("span.file-size", {}, size(document.file_size));
  return h(
    "a.file",
    { href: fileUrl(document.file_id, true), download: document.file_name ?? "" },
    h("span.file-icon", {}, preview),
    h("span.file-text", {}, name, note),
  );
}

function invoice(message, onPay) {
  const { title, description, currency, total_amount: total } = message.invoice;
  const own = message.reply_markup?.inline_keyboard?.some((row) => row.some((button) => button.pay));
  const sum = money(total, currency);
  const label = message.paid ? `✓ ${word("paid")}` : `${word("pay")} ${sum}`;
  return h(
    "div.invoice",
    {},
    h("p.invoice-title", {}, title),
    h("p", {}, description),
    h("p.invoice-sum", {}, sum),
    own && !message.paid
      ? null
      : h("button.primary", { type: "button", disabled: message.paid, onclick: (e) => onPay(message, e.currentTarget) }, label),
  );
}
