"""What the commands share: where they print, and the form of their help."""

from rich.console import Console

console = Console(highlight=False)


def example(*lines: str) -> dict[str, str]:
    """The end of a command's help: what one types."""
    return {"epilog": "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)}
