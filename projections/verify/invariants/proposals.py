"""Changes that waited for a second person: what an approval did equals what was proposed. Pure."""

from typing import Any

from events.account import ChangeApproved, ChangeProposed, ChangeWithdrawn, CreditsGranted, CreditsRevoked


class Proposals:
    """Open proposals by stream and name.

    `due` is an approved one, whose change has to follow in its command.
    """

    def __init__(self) -> None:
        self.open: dict[tuple[str, str], ChangeProposed] = {}
        self.due: ChangeProposed | None = None

    def judge(self, stream: str, event: Any, time_us: int, *, begins: bool) -> str:
        """What is wrong with an account's event; empty: nothing. `begins` a command."""
        wrong = "the approval before it brought no change" if begins and self.due else ""
        if begins:
            self.due = None
        match event:
            case ChangeProposed():
                self.open[stream, event.change] = event
            case ChangeWithdrawn():
                self.open.pop((stream, event.change), None)
            case ChangeApproved():
                self.due = self.open.pop((stream, event.change), None)
                if self.due is None:
                    return "nothing of that name was proposed, or it was settled before"
                if time_us >= self.due.ends_at_us:
                    return "the proposal had ended"
            case CreditsGranted() | CreditsRevoked() if self.due is not None:
                wanted, self.due = self.due, None
                if not _is(event, wanted):
                    return f"it is not what was proposed as {wanted.change}"
        return wrong


def _is(event: CreditsGranted | CreditsRevoked, wanted: ChangeProposed) -> bool:
    said = (event.kind, event.amount, event.reason, event.actor)
    if said != ("manual", wanted.amount, wanted.reason, wanted.actor):
        return False
    if isinstance(event, CreditsGranted):
        return wanted.what == "grant" and event.expires_at_us == wanted.expires_at_us
    return wanted.what == "revoke" and event.money == wanted.money
