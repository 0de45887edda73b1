// What goes wrong, and how fast: the sandbox's own knobs and faults, for everybody who talks to it.

import { $, h, toast } from "./dom.js";
import { word } from "./words.js";

const FAST_S = 0.6; // a tenth of the usual
const FAULTS = {
  policy: { rules: [{ api: "kie", call: "task", fault: "policy", times: null }] },
  paused: { rules: [{ api: "kie", call: "createTask", fault: "paused", times: null }] },
  slow: { knobs: { latency_seconds: 8 } },
  noMoney: { knobs: { balance: 0 } },
  telegramSlow: { knobs: { telegram_chat_rate: 0.3, telegram_chat_burst: 1 } },
};

async function ask(path, method = "GET", body = undefined) {
  const reply = await fetch(`/__sandbox/${path}`, {
    method,
    ...(body && { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
  });
  const answer = await reply.json().catch(() => ({}));
  if (!reply.ok) throw new Error(answer.error ?? `HTTP ${reply.status}`);
  return answer;
}

const doing = (work) => work.catch((error) => toast(`${word("failed")}: ${error.message}`, "error")).then(showControls);

function set(fault, on, ids) {
  const { rules, knobs } = FAULTS[fault];
  if (knobs) {
    const back = Object.fromEntries(Object.keys(knobs).map((name) => [name, null]));
    return ask("settings", "POST", on ? knobs : back);
  }
  if (on) return ask("faults", "POST", rules);
  return Promise.all(ids.map((id) => ask(`faults/${id}`, "DELETE")));
}

/** Show how things stand; each button changes one of them. */
export async function showControls() {
  const [knobs, { rules = [] }, { base_url: address, bot_token: token }] = await Promise.all([
    ask("settings"), ask("faults"), ask("health"),
  ]);
  const fast = knobs.render_seconds === FAST_S;
  const speeds = [["× 1", !fast, null], ["× 10", fast, FAST_S]].map(([text, on, seconds]) =>
    h("button", {
      type: "button", "aria-pressed": String(on),
      onclick: () => doing(ask("settings", "POST", { render_seconds: seconds })),
    }, text));
  $("speeds").replaceChildren(...speeds);
  const faults = Object.entries(FAULTS).map(([name, { rules: wanted, knobs: changed }]) => {
    const ids = wanted
      ? rules.filter(({ rule }) => wanted.some((one) => rule.fault === one.fault && rule.api === one.api)).map(({ id }) => id)
      : [];
    const on = wanted ? ids.length > 0 : Object.entries(changed).every(([key, value]) => knobs[key] === value);
    return h("label.check", {}, h("input", { type: "checkbox", checked: on, onchange: () => doing(set(name, !on, ids)) }), word(`fault_${name}`));
  });
  $("faults").replaceChildren(...faults);
  $("bot-api").textContent = `${address}/bot${token}`;
}
