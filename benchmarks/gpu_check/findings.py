"""What the stages of a check find: kept a line at a time, and told as a report in Markdown."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch


@dataclass
class Findings:
    """Where a stage leaves what it finds, and what it runs on.

    Args:
        stage: its name.
        path: of the file of all stages, to which a line of JSON is added for each finding.
        device: that is checked.
        tiny: whether sizes prove nothing but that the check works.
        seconds: that the stage may take.
    """

    stage: str
    path: Path
    device: torch.device
    tiny: bool
    seconds: float
    start: float = field(default_factory=time.monotonic)

    @property
    def cuda(self) -> bool:
        """Whether the device is a GPU of NVIDIA's."""
        return self.device.type == "cuda"

    @property
    def left(self) -> float:
        """Seconds that the stage still has."""
        return self.seconds - (time.monotonic() - self.start)

    @property
    def folder(self) -> Path:
        """Where the stage may write files."""
        place = self.path.parent / "stages" / self.stage
        place.mkdir(parents=True, exist_ok=True)
        return place

    def right(self, name: str, good: bool, said: str = "") -> None:
        """Keep whether something is as it must be, and by how much."""
        self._keep({"check": name, "right": bool(good), "said": said})

    def row(self, table: str, **columns: Any) -> None:
        """Keep a row of a table."""
        self._keep({"table": table, **columns})

    def note(self, text: str) -> None:
        """Keep a sentence."""
        self._keep({"note": text})

    def _keep(self, finding: dict[str, Any]) -> None:
        line = json.dumps({"stage": self.stage, **finding}, default=str) + "\n"
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.write(file, line.encode())  # in one piece: stages write at the same time
        os.close(file)
        print(line, end="", flush=True)

    def synchronize(self) -> None:
        """Wait for the device."""
        if self.cuda:
            torch.cuda.synchronize()


def read(path: Path) -> list[dict[str, Any]]:
    """Return all findings so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def markdown(title: str, findings: Sequence[dict[str, Any]]) -> str:
    """Return the report: what is wrong first, then each stage's sentences, checks and tables."""
    checks = [finding for finding in findings if "check" in finding]
    wrong = [finding for finding in checks if not finding["right"]]
    lines = [f"# {title}", "", f"{len(checks) - len(wrong)} of {len(checks)} checks are right.", ""]
    lines += [f"- wrong: {finding['stage']}, {finding['check']}: {finding['said']}" for finding in wrong]
    for stage in dict.fromkeys(finding["stage"] for finding in findings):
        own = [finding for finding in findings if finding["stage"] == stage]
        lines += ["", f"## {stage}", ""]
        lines += [f"{finding['note']}\n" for finding in own if "note" in finding]
        lines += [
            f"- {'right' if finding['right'] else '**wrong**'}: {finding['check']}"
            + (f": {finding['said']}" if finding["said"] else "")
            for finding in own
            if "check" in finding
        ]
        for table in dict.fromkeys(finding["table"] for finding in own if "table" in finding):
            lines += ["", f"{table}:", "", *_table([finding for finding in own if finding.get("table") == table])]
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[dict[str, Any]]) -> list[str]:
    columns = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in ("stage", "table")]
    lines = ["| " + " | ".join(columns) + " |", "| " + " | ".join("---" for _ in columns) + " |"]
    return lines + ["| " + " | ".join(_shown(row.get(name)) for name in columns) + " |" for row in rows]


def _shown(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value).replace("|", "\\|")
