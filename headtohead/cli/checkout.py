"""Where the suite's own files lie: its sweeps, claims and recipes, which a checkout has and a wheel has not."""

from __future__ import annotations

from pathlib import Path

_ROOT = Path(__file__).parents[2]
CHECKOUT: Path | None = _ROOT if (_ROOT / "pyproject.toml").is_file() else None
