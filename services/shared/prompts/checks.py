"""What no written script may ask for. Rough by nature: a script refused in error costs only a template.

A clause that says no ("no captions appear", "without people") asks for nothing.
"""

import re
from typing import Final

_CLAUSES: Final = re.compile(r"[.;:!?\n]+")
_NO: Final = re.compile(
    r"\b(?:no|not|never|none|nor|neither|without|nothing|nobody|free of|instead of|avoid\w*|"
    r"do(?:es)?n['’]t)\b",
    re.IGNORECASE,
)

_WRITING: Final = (
    r"(?:text|captions?|subtitles?|titles?|slogans?|headlines?|taglines?|lettering|typography|"
    r"price tags?|prices?|discounts?|hashtags?|watermarks?|calls?[- ]to[- ]action|speech bubbles?)"
)
_TEXT_ON_SCREEN: Final = re.compile(
    rf"\b{_WRITING}\b(?:\W+\w+){{0,5}}?\W+(?:on[- ]?screen|overla\w+|superimposed|appears?|pops? (?:up|in)|"
    rf"(?:fades?|slides?|flies) in|types? out|scrolls?|flash(?:es)?|reads?|says?)\b"
    rf"|\b(?:on[- ]?screen|overlaid|superimposed|overlay (?:of|with)|adds?)(?:\W+\w+){{0,3}}?\W+{_WRITING}\b"
    rf"|\btitle cards?\b|\b(?:text|captions?|titles?|words?)\s*[\"“«']\w",
    re.IGNORECASE,
)

_PEOPLE: Final = re.compile(
    r"(?<!for )\b(?:a|an|the|one|two|some|young|old|adult|smiling|happy|another|his|her|their)\s+"
    r"(?:(?!for\b|of\b|with\b|on\b|in\b)\w+\s+){0,2}?"
    r"(?:person|people|man|men|woman|women|girls?|boys?|child|children|kids?|bab(?:y|ies)|teenagers?|"
    r"bloggers?|influencers?|celebrit(?:y|ies)|actors?|actress(?:es)?|couple|crowd|friends|famil(?:y|ies))\b"
    r"(?!['’]s?\b|\s+(?:dolls?|figures?|figurines?|bottles?|strollers?|clothes|shoes|toys?|food|monitors?|bags?))"
    r"|\b(?:his|her|their|smiling|human)\s+(?:\w+\s+)?(?:face|smile|lips|eyes)\b"
    r"|(?<!for )\b(?:people|someone|somebody)\s+\w+(?:s|ing)\b",
    re.IGNORECASE,
)


def asks_for_text(text: str) -> bool:
    """Whether letters are to appear on the screen that are not on the product."""
    return _asks(_TEXT_ON_SCREEN, text)


def shows_people(text: str) -> bool:
    """Whether somebody, hands aside, is to be seen."""
    return _asks(_PEOPLE, text)


def _asks(pattern: re.Pattern[str], text: str) -> bool:
    for clause in _CLAUSES.split(text):
        hit = pattern.search(clause)
        if hit and not _NO.search(clause[: hit.start()]) and not _NO.search(hit.group()):
            return True
    return False
