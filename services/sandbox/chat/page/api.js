// The person's side of the sandbox over HTTP. Failures are Errors whose message can be shown.

const query = new URLSearchParams(location.search);
export const user = /^[1-9]\d{0,14}$/.test(query.get("user") ?? "") ? query.get("user") : "1";
export const wantedLanguage = query.get("lang") ?? "";

const base = `/chat/${user}`;
export const fileUrl = (fileId, download = false) => `${base}/files/${fileId}${download ? "?download" : ""}`;

async function answer(response) {
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.error ?? `HTTP ${response.status}`);
  return body;
}

const post = (path, body) =>
  fetch(`${base}/${path}`, {
    method: "POST",
    ...(body instanceof FormData
      ? { body }
      : { body: JSON.stringify(body ?? {}), headers: { "Content-Type": "application/json" } }),
  }).then(answer);

export const profile = (lang) => fetch(`${base}/profile${lang ? `?lang=${lang}` : ""}`).then(answer);
export const people = () => fetch("/chat/users").then(answer);
export const news = (after, timeout) =>
  fetch(`${base}/messages?after=${after}&timeout=${timeout}&limit=200`).then(answer);

export const say = (text, replyTo) => post("send", { text, reply_to: replyTo });
export const edit = (messageId, text) => post("edit", { message_id: messageId, text });
export const forward = (messageId) => post("forward", { message_id: messageId });
export const sendFiles = (form) => post("send", form);
export const tap = (messageId, data) => post("tap", { message_id: messageId, data });
export const pay = (target) => post("pay", target);
export const stand = (deed) => post(deed);
