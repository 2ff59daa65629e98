"""Compares architectures head to head: runs trials and sweeps, keeps their records, reports who is better."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headtohead.api import compare

__all__ = ["compare"]


def __getattr__(name: str) -> Any:  # so that a command that needs no torch does not import it
    if name == "compare":
        from headtohead.api import compare

        return compare
    raise AttributeError(f"module 'headtohead' has no attribute {name!r}")
