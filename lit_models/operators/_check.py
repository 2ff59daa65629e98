"""Refusals of operators and networks: one line that names the argument, its value and what would work."""


def at_least(minimum: int, *, why: str = "", hint: str = "", **arguments: int) -> None:
    """Refuses any of ``arguments`` that is below ``minimum``.

    Args:
        minimum: the least that works.
        why: what needs it, such as ``for CNN (two poolings)``.
        hint: what is usual, such as ``the source has 32``.
        **arguments: by name.

    Raises:
        ValueError: names the first argument that is too small.
    """
    for name, value in arguments.items():
        if value < minimum:
            reason, usual = why and f" {why}", hint and f"; {hint}"
            raise ValueError(f"{name} must be at least {minimum}{reason}: got {value}{usual}")


def below_one(*, hint: str, **arguments: float) -> None:
    """Refuses any of ``arguments`` that is not in [0, 1), as shares of what is dropped must be.

    Raises:
        ValueError: names the first that is not, and what is usual.
    """
    for name, value in arguments.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name} must lie in [0, 1): got {value}; {hint}")


def odd(name: str, value: int) -> None:
    """Refuses an even ``value``, for kernels that need a centre pixel.

    Raises:
        ValueError: names the argument and its two odd neighbours.
    """
    if value % 2 == 0:
        raise ValueError(f"{name} must be odd to have a centre: got {value}; use {value - 1} or {value + 1}")


def divides(name: str, value: int, total_name: str, total: int) -> None:
    """Refuses a ``value`` that does not divide ``total``.

    Raises:
        ValueError: names the argument and lists the divisors of ``total``.
    """
    if total % value:
        *head, last = [str(d) for d in range(1, total + 1) if total % d == 0]
        choices = f"{', '.join(head)} or {last}" if head else last
        raise ValueError(f"{name} must divide {total_name}={total}: got {value}; use {choices}")
