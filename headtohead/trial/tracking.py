"""Weights & Biases as the logger of a trial: online for those who are logged in, offline and silent for all others."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import WandbLogger

from headtohead.cli.errors import one_line
from headtohead.records import looks
from headtohead.records.files import write_text
from headtohead.records.record import config_hash
from headtohead.trial.config import class_name, data_name, network_name
from headtohead.trial.errors import TERMINATED

PROJECT = "architectures"
SWEEP = "SWEEP_NAME"  # the variable by which a runner on this machine tells its sweep, which is a tag of the run
LONGEST_TAG = 64  # of W&B's
INIT_SECONDS = 30.0  # for which a trial waits for the server before it starts without it
FINISH_SECONDS = 120.0  # for which a trial that has ended waits for the rest of its upload


class TrialLogger(WandbLogger):
    """WandbLogger for which a trial is worth more than its upload: without a server or the right key it is offline.

    W&B's own variables are obeyed: ``WANDB_MODE``, ``WANDB_PROJECT``, ``WANDB_RUN_ID``, ``WANDB_NAME`` and the others.

    Args:
        folder: of the trial, whose name is the run's unless ``WANDB_NAME`` is given; runs are kept in its ``wandb``.
        seed: of the trial.
        config: the trial's resolved arguments, shown as the run's config. Runs that differ in nothing but the seed are
            one group, unless ``WANDB_RUN_GROUP`` says otherwise, so that W&B's own tables show their mean and spread.
        resumes: whether the trial goes on where an earlier start of it has stopped; its run does, then, too.
    """

    def __init__(self, folder: Path, seed: int, config: dict[str, Any], resumes: bool) -> None:
        sweep = filter(None, [os.environ.get(SWEEP)])
        earlier = sorted(folder.glob("wandb/*run-*-*")) if resumes else []
        super().__init__(
            name=os.environ.get("WANDB_NAME", folder.name),
            save_dir=str(folder),
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=os.environ.get("WANDB_RUN_ID") or (earlier[-1].name.rpartition("-")[2] if earlier else None),
            tags=[class_name(config["model"]), data_name(config), *(name[:LONGEST_TAG] for name in sweep)],
        )
        self._wandb_init.pop("anonymous", None)  # Lightning passes it always; wandb warns of it always
        self._seed, self._config = seed, config

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run; started at the first call, in the process that logs."""
        if self._experiment is None and wandb.run is None and getattr(self, "_attach_id", None) is None:
            Path(str(self.save_dir)).mkdir(parents=True, exist_ok=True)  # else wandb writes to a temporary folder
            run: Any = start_run(**self._wandb_init, group=os.environ.get("WANDB_RUN_GROUP") or _group(self._config))
            run.define_metric("*", step_metric="epoch")
            # what the sweep has set is locked, and of a run that resumes all is set
            shown = {"seed_everything": self._seed, **self._config}
            run.config.update({key: value for key, value in shown.items() if key not in run.config})
            self._experiment = run
        return super().experiment

    @rank_zero_only
    def attach(self, path: Path, numbers: Mapping[str, float]) -> None:
        """Give the run a record's numbers as its summary, so that W&B's table compares them, and the record as a file.

        How often the sweep's verdicts are looked at goes with it, where that is written beside the trials.

        Args:
            path: of the record.
            numbers: of the record, by name.
        """
        run = self.experiment
        run.summary.update(dict(numbers))
        for file in (path, path.absolute().parents[1] / looks.FILE_NAME):
            if file.is_file():
                # a copy: a link would be lost when an offline run is taken to another machine
                copy = write_text(Path(run.dir) / file.name, file.read_text(encoding="utf-8"))
                run.save(str(copy), base_path=run.dir, policy="now")


def start_run(**arguments: Any) -> wandb.Run:
    """Start a run as ``wandb.init`` does, or an offline one where that cannot be, in bounded time."""
    wandb.setup(wandb.Settings(silent=True))  # else every process tells of its credentials
    mode = os.environ.get("WANDB_MODE") or "online"
    try:
        if mode == "online" and wandb.login(prompt=False, verify=False):
            run = wandb.init(
                **arguments,
                settings=wandb.Settings(
                    silent=True,
                    init_timeout=float(os.environ.get("WANDB_INIT_TIMEOUT", INIT_SECONDS)),
                    finish_timeout=float(os.environ.get("WANDB_FINISH_TIMEOUT", FINISH_SECONDS)),
                    finish_timeout_raises=True,
                ),
            )
            print(f"W&B: {run.url}", flush=True)
            return run
        problem = None
    except Exception as error:  # whatever it is, the trial is worth more than its upload
        problem = _reason(error)
    arguments["mode"] = "offline" if mode == "online" else mode
    settings = wandb.Settings(silent=True, console="off")
    try:
        run = wandb.init(**arguments, settings=settings)
    except Exception:  # such as an earlier start of this trial that W&B's process has not yet given up
        run = wandb.init(**{**arguments, "id": None}, settings=settings)
    if problem:
        print(f"W&B: {problem}; nothing of this trial is uploaded. Later: {_sync_command(run)}", flush=True)
    return run


def finish(exit_code: int, message: str = "") -> None:
    """End the run, if there is one; what cannot be uploaded in time stays on the disk, and a line says so.

    Args:
        exit_code: of the trial. A run that SIGTERM ended is put back into its sweep's queue, for any agent to resume.
        message: why the trial failed: printed, and so in the run's log; under an agent also when no run had started.
    """
    if message and wandb.run is None and os.environ.get("WANDB_SWEEP_ID") and getattr(rank_zero_only, "rank", 0) == 0:
        start_run()
    if message:
        print(message, file=sys.stderr, flush=True)
    run = wandb.run
    if run is None:
        return
    try:
        if exit_code == TERMINATED and not run.offline and not _stop_wanted(run):
            run.mark_preempting()
        run.finish(exit_code=exit_code)
    except Exception as error:  # the trial has ended well or not, whatever became of its upload
        print(f"W&B: {_reason(error)}; not all of this trial is uploaded. Later: {_sync_command(run)}", flush=True)


def _stop_wanted(run: wandb.Run) -> bool:
    """Tell whether W&B itself had the run stopped, by its page or by a sweep's early termination: no one resumes it."""
    query = """query RunStoppedStatus($entity: String, $project: String, $run: String!) {
        project(name: $project, entityName: $entity) { run(name: $run) { stopped } }
    }"""
    names = {"entity": run.entity, "project": run.project, "run": run.id}
    try:  # the public client has no word for it
        answer: Any = wandb.Api(timeout=5)._service_api.execute_graphql(query, names)
        return bool(answer["project"]["run"]["stopped"])
    except Exception:
        return False


def _reason(error: Exception) -> str:
    text = one_line(error)
    if "401" in text or "not logged in" in text:
        return "the API key is not accepted"
    if isinstance(error, TimeoutError) or "deadline exceeded" in text or "imed out" in text:
        return "the server does not answer"
    return text


def _sync_command(run: wandb.Run) -> str:
    folder = Path(run.dir).parent
    online = "" if folder.name.startswith("offline-") else " --include-online"
    return f"wandb sync{online} {folder}"


def _group(config: dict[str, Any]) -> str:
    """Return the name of a configuration, which all trials have that differ in nothing but the seed."""
    return f"{network_name(config)}-{data_name(config)}-{config_hash(config)}"
