"""Arguments to one call.

Comes in: what the user types. Goes out: calls of ``experiment`` and tables on the screen; exit code 0 done, 1 failed,
2 the user's input is wrong. May import: everything, but only inside command bodies where it would load torch.
"""

from tailscope.cli.app import app


def main() -> None:
    """Entry point of the command ``tailscope``."""
    app()


__all__ = ["app", "main"]
