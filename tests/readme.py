"""The README's commands and its example, as they stand there."""

import re
from pathlib import Path
from typing import Final

README: Final = Path(__file__).resolve().parent.parent / "README.md"


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def set_up_commands() -> list[str]:
    """Return the one-line commands that make an environment."""
    return [line for block in blocks("sh") for line in block.splitlines() if "-m venv" in line]


def example() -> str:
    """Return the first Python example."""
    return blocks("python")[0]
