"""Answers to frequent questions, wherever they are asked."""

from aiogram.utils.i18n import gettext as _

from services.adapters.telegram.order_labels import credits_text, format_name
from services.bot.replies import Conversation
from services.bot.screens.menu import Screen, cabinet_button, create_button, keyboard
from services.bot.text_intent import Topic
from services.generation.prompts.styles import style_of


async def answer(chat: Conversation, topic: Topic, *, making: bool) -> None:
    """Answer; what is waited for stays, and is pointed to. `making`: there is an order already."""
    model = chat.shop.model
    match topic:
        case "price":
            text = _("💰 A video of {seconds} s costs {price}, a longer one in proportion. Packages: /topup")
            text = text.format(seconds=model.duration_s, price=credits_text(model.price_credits))
        case "time":
            usual_s = (await chat.shop.estimate(model, chat.person, 1)).usual_s
            text = _("⏱ Usually about {minutes} min. I send the video as soon as it is ready.")
            text = text.format(minutes=max(1, round(usual_s / 60)))
        case "formats":
            names = ", ".join(map(format_name, style_of("").formats))
            text = _("📐 Formats: {formats}. Choose on the order, under the photo.").format(formats=names)
        case "where":
            text = _("🎬 /cabinet says how your videos come on; I send each one as soon as it is ready.")
    await chat.send_aside(Screen(text, None if making else keyboard([create_button()], [cabinet_button()])))
