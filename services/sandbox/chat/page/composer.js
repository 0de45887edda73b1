// The lower edge: writing, the bot's commands, attaching files.

import * as api from "./api.js";
import { $, alertBox, fit, h, icon, toast } from "./dom.js";
import { summary, textOf } from "./media.js";
import { size, word } from "./words.js";

const PREVIEW_TYPES = /^(image|video)\//;
let commands = [];
let picked = [];
let target = null; // { message, deed }: what is answered ("reply") or edited ("edit")

export async function say(text, replyTo) {
  try {
    await api.say(text, replyTo);
  } catch (error) {
    toast(`${word("failed")}: ${error.message}`, "error");
    throw error;
  }
}

// Writing

$("line").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value;
  if (!text.trim()) return;
  const was = target;
  aim(null);
  $("text").value = "";
  changed();
  try {
    if (was?.deed === "edit") await rewrite(was.message.message_id, text);
    else await say(text, was?.message.message_id);
  } catch {
    $("text").value = text;
    changed();
    if (was) aim(was);
  }
});

async function rewrite(messageId, text) {
  try {
    await api.edit(messageId, text);
  } catch (error) {
    toast(`${word("failed")}: ${error.message}`, "error");
    throw error;
  }
}

// Replying and editing

/** Write to a message from here on: `{ message, deed }`, or null for a new one. */
export function aim(wanted) {
  target = wanted;
  $("aim").hidden = !target;
  if (!target) return;
  const { message, deed } = target;
  $("aim-icon").setAttribute("href", `/assets/icons.svg#${deed}`);
  $("aim-title").textContent = deed === "edit" ? word("editing") : word("replyTo", message.from.first_name);
  $("aim-text").textContent = summary(message);
  $("text").focus();
}

export function startEdit(message) {
  aim({ message, deed: "edit" });
  $("text").value = textOf(message);
  changed();
}

function drop() {
  if (target?.deed === "edit") $("text").value = "";
  aim(null);
  changed();
}
$("aim-drop").addEventListener("click", () => {
  drop();
  $("text").focus();
});
$("line").addEventListener("keydown", (event) => {
  if (event.key === "Escape" && target) drop();
});

$("text").addEventListener("keydown", (event) => {
  const plainEnter = event.key === "Enter" && !event.shiftKey && !event.isComposing;
  if (!plainEnter || matchMedia("(pointer: coarse)").matches) return;
  event.preventDefault();
  $("line").requestSubmit();
});

function changed() {
  fit($("text"));
  $("send").classList.toggle("ready", Boolean($("text").value.trim()));
  showCommands($("text").value.startsWith("/") && !$("text").value.includes(" "));
}
$("text").addEventListener("input", changed);

// Commands

export function setCommands(found) {
  commands = found;
  $("commands-button").hidden = !found.length;
}

function showCommands(open) {
  const begun = $("text").value.slice(1);
  const fitting = commands.filter((one) => one.command.startsWith(begun) || !$("text").value);
  $("commands").hidden = !open || !fitting.length;
  $("commands-button").setAttribute("aria-expanded", String(!$("commands").hidden));
  $("commands").replaceChildren(
    ...fitting.map((one) =>
      h("li", {}, h("button", { type: "button", onclick: () => choose(one) }, h("b", {}, `/${one.command}`), h("span", {}, one.description))),
    ),
  );
}

function choose(command) {
  $("text").value = "";
  changed();
  say(`/${command.command}`).catch(() => {});
}

$("commands-button").addEventListener("click", () => showCommands($("commands").hidden));
document.addEventListener("click", (event) => {
  if (!event.target.closest("#composer")) showCommands(false);
});

// Files: picked, dropped, or pasted

$("picker").addEventListener("change", () => {
  offer([...$("picker").files]);
  $("picker").value = "";
});
$("attach").addEventListener("keydown", (event) => {
  if (event.key === "Enter" || event.key === " ") $("picker").click();
});
document.addEventListener("paste", (event) => offer([...(event.clipboardData?.files ?? [])]));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  offer([...(event.dataTransfer?.files ?? [])]);
});

function offer(files) {
  picked = files.filter((file) => file.size > 0).slice(0, 10);
  if (files.length && !picked.length) toast(word("empty"), "error");
  if (!picked.length) return;
  const shown = picked.every((file) => PREVIEW_TYPES.test(file.type));
  $("as-file").checked = !shown;
  $("as-file-row").hidden = !shown;
  $("caption").value = $("text").value;
  $("previews").replaceChildren(...picked.map(preview));
  $("previews").dataset.count = picked.length;
  retitle();
  $("attach-sheet").showModal();
  fit($("caption"));
  $("caption").focus();
}

function preview(file) {
  const url = URL.createObjectURL(file);
  const done = () => URL.revokeObjectURL(url);
  if (file.type.startsWith("image/")) return h("img", { src: url, alt: file.name, onload: done, onerror: (e) => e.currentTarget.replaceWith(fileRow(file)) });
  if (file.type.startsWith("video/")) return h("video", { src: url, controls: true, muted: true });
  return fileRow(file);
}

const fileRow = (file) =>
  h("div.file", {}, h("span.file-icon", {}, icon("file")), h("span.file-text", {}, h("span.file-name", {}, file.name), h("span.file-size", {}, size(file.size))));

function retitle() {
  $("attach-title").textContent = $("as-file").checked ? word("file") : word("photos", picked.length);
}
$("as-file").addEventListener("change", retitle);
$("caption").addEventListener("input", () => fit($("caption")));
$("caption").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("attach-form").requestSubmit($("attach-send"));
});
$("attach-cancel").addEventListener("click", () => $("attach-sheet").close());

$("attach-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData();
  for (const file of picked) form.append(kindOf(file), file, file.name);
  form.append("caption", $("caption").value);
  if (target?.deed === "reply") form.append("reply_to", target.message.message_id);
  $("attach-sheet").classList.add("busy");
  try {
    await api.sendFiles(form);
    $("attach-sheet").close();
    aim(null);
    if ($("text").value === $("caption").value) $("text").value = "";
    changed();
  } catch (error) {
    alertBox(`${word("failed")}: ${error.message}`);
  } finally {
    $("attach-sheet").classList.remove("busy");
  }
});

function kindOf(file) {
  if ($("as-file").checked) return "document";
  return file.type.startsWith("video/") ? "video" : file.type.startsWith("image/") ? "photo" : "document";
}
