"""What `neurocards doctor` looks at: settings, this machine, the connections, the outside companies."""

from services.cli.doctor.check import Check, State
from services.cli.doctor.examine import examine

__all__ = ["Check", "State", "examine"]
