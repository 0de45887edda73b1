// The page's own words. What the bot says comes from the bot.

const WORDS = {
  ru: {
    sandbox: "песочница на этой машине",
    about: "Чат с ботом без настоящего Telegram: всё внешнее изображает локальный сервер, ничего не уходит в сеть.",
    people: "Собеседники",
    addPerson: "Ещё один человек",
    language: "Язык собеседника",
    byLink: "Перейти по ссылке",
    follow: "Перейти",
    notALink: (like) => `Это не ссылка на бота; она выглядит так: ${like}`,
    followTitle: "Ссылка на бота",
    followText: "В чате появится кнопка «Начать», и бот получит эту команду. Приглашение засчитывается только новым людям.",
    followNew: (id) => `Новый человек, id ${id}`,
    followHere: (name) => `${name}, в этом чате`,
    reset: "Очистить чат",
    resetTitle: "Очистить чат?",
    resetText: "Переписка исчезнет с обеих сторон, блокировка снимется, и чат начнётся с кнопки «Начать». Бот узнает этот id: кредиты, заказы и принятые условия останутся.",
    resetOther: "Нужен человек, которого бот не знает",
    resetDo: "Очистить",
    deeds: "Действия с сообщением",
    deed_reply: "Ответить",
    deed_edit: "Изменить",
    deed_forward: "Переслать боту",
    editing: "Изменение сообщения",
    replyTo: (name) => `Ответ: ${name}`,
    forwarded: (name) => `Переслано от: ${name}`,
    block: "Заблокировать бота",
    unblock: "Разблокировать бота",
    speed: "Скорость видео",
    faults: "Что сломалось",
    fault_policy: "Отказ по правилам",
    fault_paused: "Модель на паузе",
    fault_slow: "Провайдер медлит",
    fault_noMoney: "Нет денег у провайдера",
    fault_telegramSlow: "Telegram медлит",
    botApi: "Bot API: адрес с токеном",
    offline: "Нет связи с песочницей, пробую снова…",
    whatCan: "Что умеет этот бот?",
    emptyChat: "Нажмите «Начать», и бот ответит.",
    start: "Начать",
    message: "Сообщение",
    send: "Отправить",
    attach: "Прикрепить файл",
    commands: "Команды бота",
    toEnd: "К последним сообщениям",
    caption: "Подпись",
    asFile: "Отправить файлом, без сжатия",
    cancel: "Отмена",
    ok: "Понятно",
    close: "Закрыть",
    dropHere: "Отпустите, чтобы отправить",
    bot: "бот",
    edited: "изменено",
    pay: "Оплатить",
    paid: "Оплачено",
    paying: "Оплата…",
    declined: "Бот отклонил оплату",
    timedOut: "Бот не ответил за 10 секунд, ничего не списано",
    paidNote: (sum) => `Вы оплатили ${sum}`,
    refundedNote: (sum) => `Вам вернули ${sum}`,
    today: "Сегодня",
    yesterday: "Вчера",
    photos: (n) => (n === 1 ? "Отправить фото" : `Отправить файлы: ${n}`),
    file: "Отправить файл",
    empty: "Файл пуст",
    failed: "Не получилось",
    copied: "Скопировано",
    units: ["Б", "КБ", "МБ", "ГБ"],
    actions: {
      typing: "печатает…",
      upload_photo: "отправляет фото…",
      upload_video: "отправляет видео…",
      record_video: "снимает видео…",
      upload_document: "отправляет файл…",
    },
    photo: "Фото",
    video: "Видео",
    animation: "Анимация",
    document: "Файл",
    invoice: "Счёт",
  },
  en: {
    sandbox: "sandbox on this machine",
    about: "A chat with the bot without the real Telegram: a local server plays everything outside, nothing leaves this machine.",
    people: "People",
    addPerson: "One more person",
    language: "Person's language",
    byLink: "Follow a link",
    follow: "Follow",
    notALink: (like) => `Not a link to this bot; such a link looks like ${like}`,
    followTitle: "A link to the bot",
    followText: "The chat will show Start, which sends the bot this command. An invitation counts for new people only.",
    followNew: (id) => `Somebody new, id ${id}`,
    followHere: (name) => `${name}, in this chat`,
    reset: "Clear the chat",
    resetTitle: "Clear the chat?",
    resetText: "The messages go on both sides, a block is undone, and the chat begins with Start. The bot will know this id: credits, orders and accepted terms stay.",
    resetOther: "I need somebody the bot does not know",
    resetDo: "Clear",
    deeds: "What to do with the message",
    deed_reply: "Reply",
    deed_edit: "Edit",
    deed_forward: "Forward to the bot",
    editing: "Editing the message",
    replyTo: (name) => `Reply to ${name}`,
    forwarded: (name) => `Forwarded from ${name}`,
    block: "Block the bot",
    unblock: "Unblock the bot",
    speed: "Speed of videos",
    faults: "What is broken",
    fault_policy: "Refused by policy",
    fault_paused: "Model paused",
    fault_slow: "Provider is slow",
    fault_noMoney: "Provider without money",
    fault_telegramSlow: "Telegram is slow",
    botApi: "Bot API: address with token",
    offline: "No connection to the sandbox, trying again…",
    whatCan: "What can this bot do?",
    emptyChat: "Press Start, and the bot will answer.",
    start: "Start",
    message: "Message",
    send: "Send",
    attach: "Attach a file",
    commands: "Bot commands",
    toEnd: "To the latest messages",
    caption: "Caption",
    asFile: "Send as a file, uncompressed",
    cancel: "Cancel",
    ok: "OK",
    close: "Close",
    dropHere: "Drop to send",
    bot: "bot",
    edited: "edited",
    pay: "Pay",
    paid: "Paid",
    paying: "Paying…",
    declined: "The bot declined the payment",
    timedOut: "The bot did not answer within 10 seconds, nothing was charged",
    paidNote: (sum) => `You paid ${sum}`,
    refundedNote: (sum) => `You got ${sum} back`,
    today: "Today",
    yesterday: "Yesterday",
    photos: (n) => (n === 1 ? "Send photo" : `Send ${n} files`),
    file: "Send file",
    empty: "The file is empty",
    failed: "That did not work",
    copied: "Copied",
    units: ["B", "KB", "MB", "GB"],
    actions: {
      typing: "typing…",
      upload_photo: "sending a photo…",
      upload_video: "sending a video…",
      record_video: "recording a video…",
      upload_document: "sending a file…",
    },
    photo: "Photo",
    video: "Video",
    animation: "Animation",
    document: "File",
    invoice: "Invoice",
  },
};

export const LANGUAGES = { ru: "Русский", en: "English" };

let current = WORDS.ru;
let code = "ru";

/** Choose the page's language and put its words where the page asks for them. */
export function speak(language) {
  code = language in WORDS ? language : "en";
  current = WORDS[code];
  document.documentElement.lang = code;
  for (const node of document.querySelectorAll("[data-word]")) node.textContent = current[node.dataset.word];
  for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", current[node.dataset.label]);
  for (const node of document.querySelectorAll("[data-label].round")) node.title = current[node.dataset.label];
  for (const node of document.querySelectorAll("[data-placeholder]")) node.placeholder = current[node.dataset.placeholder];
}

/** A word, or what its function makes of the arguments. */
export function word(name, ...rest) {
  const found = current[name] ?? name;
  return typeof found === "function" ? found(...rest) : found;
}

export const language = () => code;

export function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString(code, { hour: "2-digit", minute: "2-digit" });
}

export function day(seconds) {
  const date = new Date(seconds * 1000);
  const days = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(date).setHours(0, 0, 0, 0)) / 86_400_000);
  if (days === 0) return current.today;
  if (days === 1) return current.yesterday;
  return date.toLocaleDateString(code, { day: "numeric", month: "long" });
}

export function size(bytes) {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < 3) {
    value /= 1024;
    unit += 1;
  }
  return `${value.toLocaleString(code, { maximumFractionDigits: unit && value < 10 ? 1 : 0 })} ${current.units[unit]}`;
}

export function money(amount, currency) {
  if (currency === "XTR") return `⭐ ${amount.toLocaleString(code)}`;
  return new Intl.NumberFormat(code, { style: "currency", currency }).format(amount / 100);
}
