"""The command line of a trial, and the folder, callbacks, logger and record that it sets up."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from filelock import BaseFileLock
from jsonargparse import ArgumentError, Namespace
from lightning.fabric.plugins import CheckpointIO
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningDataModule, Trainer
from lightning.pytorch.accelerators import CUDAAccelerator
from lightning.pytorch.callbacks import ProgressBar, TQDMProgressBar
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

from headtohead.cli.errors import UsageError, one_line
from headtohead.records import record as records
from headtohead.trial import folders, precision, tracking
from headtohead.trial.arguments import (
    check_arguments,
    check_batch,
    classes,
    leave_out_what_only_classifiers_have,
    name_the_task,
    part_checkpoints,
    passes_on,
    task_as_network,
    whole_numbers_first,
)
from headtohead.trial.augmentation import wrong_augmentation, wrong_element
from headtohead.trial.callbacks import EpochSeed, FiniteLoss, Labelled, LastBatch, LineProgress, TestShare
from headtohead.trial.checkpoints import (
    SafeCheckpointIO,
    check_facts,
    check_same_trial,
    open_checkpoint,
    read_arguments,
)
from headtohead.trial.config import class_name, listed, of_the_devices, resolved_config
from headtohead.trial.errors import (
    TrialFailed,
    explain,
    is_a_task,
    is_of_a_lost_process,
    is_out_of_memory,
    refusal,
    root,
    smaller,
)
from headtohead.trial.hardware import (
    cores,
    fix_arithmetic,
    fuse,
    keep_freed_memory,
    lay_channels_last,
    trials_on_machine,
)
from headtohead.trial.help import TRAINER_DEFAULTS
from headtohead.trial.networks import (
    FROM_THE_DATA,
    Network,
    build,
    build_network,
    check_kept,
    facts_of,
    fills_holes,
    named,
    try_on_one_batch,
)
from headtohead.trial.preview import Preview
from headtohead.trial.recording import Recorder, scalars
from headtohead.trial.saving import Best, History
from headtohead.trial.termination import Termination
from headtohead.trial.weights import Weights, fill, find_weights
from lit_models import Classifier, Inpainter, Task

PARTS = {"data": LightningDataModule, "model": Network, "task": Task}  # what is given as a class with its arguments


class TrialCLI(LightningCLI):
    """LightningCLI with what makes a run a trial: a network in a task, its folder, callbacks, logger and record.

    Args:
        check_only: stop once the arguments are parsed and everything is built, before data are touched.
    """

    folder = Path()  # of the trial
    made: Sequence[Path] = ()  # the folders, of the trial and around it, that did not exist before it
    building: str | None = None  # what is being built by somebody else's code, if anything
    resumes = False  # whether it was asked to go on
    measures = False  # whether its precision depends on a measurement
    weights: Weights | None = None  # that the network starts from
    lock: BaseFileLock | None = None  # of the folder, while it is trained there
    checkpoint: dict[str, Any] | None = None  # what ``--ckpt_path`` holds

    def __init__(self, check_only: bool = False) -> None:
        self.check_only = check_only
        strict = {"exit_on_error": False, "allow_abbrev": False}  # errors are raised; --trainer.max_epoch is one
        try:
            super().__init__(
                seed_everything_default=0,
                trainer_defaults=dict(TRAINER_DEFAULTS),
                save_config_kwargs={"overwrite": True},
                parser_kwargs={**strict, **{name: dict(strict) for name in self.subcommands()}},
                auto_configure_optimizers=False,  # the recipe belongs to Task
            )
        except (UsageError, MisconfigurationException):
            folders.discard(self.folder, self.made)
            raise
        finally:
            if self.lock is not None:
                self.lock.release()

    def __getstate__(self) -> dict[str, Any]:
        """Return what goes along to the processes that ddp_spawn starts: not the lock, which is this one's."""
        return {**self.__dict__, "lock": None}

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Return what can be asked for; if that is ``fit``, it alone: each has a parser, which takes time to build."""
        known = LightningCLI.subcommands()
        return {"fit": known["fit"]} if sys.argv[1:2] == ["fit"] else known

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the Trainer, the data, the network and the task; the last three are built by :meth:`_build`."""
        whole_numbers_first(Trainer)
        parser.add_lightning_class_args(self.trainer_class, "trainer")
        parser.set_defaults({f"trainer.{name}": value for name, value in self.trainer_defaults.items()})
        for part, kind in PARTS.items():
            skip = {"task": {"net", "num_classes"}, "model": set(FROM_THE_DATA)}.get(part, set())
            parser.add_subclass_arguments(
                kind, part, fail_untyped=False, instantiate=False, required=part != "task", skip=skip
            )
        parser.set_defaults(task={"class_path": "lit_models.Classifier"})
        parser.add_argument(
            "--weights",
            type=str | None,
            default=None,
            help="a file of weights that the network starts from: a state dict, such as torchvision's, or a checkpoint",
        )
        parser.add_argument(
            "--compile",
            type=Literal["no", "default", "reduce-overhead", "max-autotune"],
            default="no",
            help="how torch.compile fuses the network; reduce-overhead replays CUDA graphs, which pays on a GPU",
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse; an error becomes one line."""
        name_the_task(sys.argv)
        try:
            super().parse_arguments(parser, args)
        except ArgumentError as error:
            if passes_on(str(error)):  # an argument of a function that takes any, such as timm.create_model
                return self.parse_arguments(parser, args)
            if task := task_as_network(str(error)):
                raise UsageError(is_a_task(task)) from None
            augmentation = wrong_augmentation(str(error))
            said = augmentation or explain(str(error), classes(), self._options(), FROM_THE_DATA)
            raise UsageError(said) from None
        except (UnicodeDecodeError, RecursionError, OSError) as error:  # of a file that was given as configuration
            raise UsageError(f"--config: not a configuration: {one_line(error)}") from None
        config = self.config[self.config.subcommand]
        if config.task is None:
            raise UsageError("--task: must not be null; Classifier is the default")
        if named(config.task.class_path) is Classifier and fills_holes(config.model.class_path):
            config.task.class_path = "lit_models.Inpainter"  # by the same recipe: the arguments stay
            leave_out_what_only_classifiers_have(config.task.init_args)
        check_arguments(config.as_dict(), classes())
        task, network = named(config.task.class_path), config.model.class_path
        if issubclass(task, Inpainter) and isinstance(named(network), type) and not fills_holes(network):
            said = f"{task.__name__} needs a network whose forward takes images and a mask, such as PConvUNet"
            raise UsageError(f"--task: {said}: got {class_name(network)}")
        data = config.data.get("init_args", Namespace())
        for name in ("label_noise", "corruptions"):
            if issubclass(task, Inpainter) and data.get(name):
                raise UsageError(f"--data.{name}: changes nothing of {task.__name__}: leave it out")

    def _parse_ckpt_path(self) -> None:
        """Take the network's arguments from a checkpoint that is named, once it is known to be this network's."""
        config = self.config[self.config.subcommand]
        if config.weights_only is False:
            raise UsageError("--weights_only: must be true: a checkpoint is data, and never run as code")
        config.weights_only = True  # for Lightning too, which from an address would take code
        path, fits = config.ckpt_path, self.config.subcommand == "fit"
        if path in ("best", "hpc", "registry") or (path == "last" and not fits):
            raise UsageError(f"--ckpt_path: must be a file, such as runs/…/checkpoints/best.ckpt: got {path}")
        if path not in (None, "last") and "://" not in path:
            self.checkpoint = open_checkpoint(Path(path), config.model.class_path)
            given = self.parser.parse_args(sys.argv[1:], defaults=False)[self.config.subcommand].as_dict()
            held = read_arguments(Path(path), self.checkpoint, class_name(config.task.class_path), given, fits)
            for part in ("model", "task"):  # the classes are those of the command line: a file is to name no code
                config[part] = Namespace(class_path=config[part].class_path, **held[part])

    def before_instantiate_classes(self) -> None:
        """Settle the trial's folder, precision, threads and memory before anything is built."""
        config = self.config[self.subcommand]
        self.resolved = resolved_config(config.as_dict())
        if config.weights is not None:
            if config.ckpt_path is not None and self.subcommand != "fit":
                raise UsageError("--weights: changes nothing of what --ckpt_path holds: leave one of them out")
            arguments = config.model.get("init_args", Namespace()).as_dict()
            self.weights = find_weights(config.weights, config.model.class_path, arguments)
            self.resolved["weights"] = self.weights.identity
        if config.trainer.default_root_dir is None:
            self.folder = folders.default(self.resolved, config.seed_everything)
            config.trainer.default_root_dir = str(self.folder)
            if config.ckpt_path == "last" and not folders.agent_run() and not folders.last(self.folder).exists():
                said = f"there is no {folders.last(self.folder)} to go on from: leave --ckpt_path out to begin"
                raise UsageError(f"--ckpt_path: {said}")
            if self.subcommand == "fit" and folders.agent_run() and config.ckpt_path is None:
                config.ckpt_path = "last"  # the folder is this run's alone: what lies there was interrupted
        self.folder = Path(config.trainer.default_root_dir)
        self.made = [place for place in (self.folder, *self.folder.parents) if not place.exists()]
        part_checkpoints(config.trainer.callbacks, self.folder)
        self.resumes = config.ckpt_path is not None
        if config.ckpt_path == "last":  # this one, whatever a user's own callbacks have left
            last = folders.last(self.folder)
            self.checkpoint = open_checkpoint(last, config.model.class_path) if last.exists() else None
            config.ckpt_path = None if self.checkpoint is None else str(last)
        # After the configuration was resolved: on other hardware it is the same trial, and the record says what ran.
        self.measures = precision.begin(config.trainer, self.checkpoint)
        threads = max(1, cores() // trials_on_machine())  # trials at once times threads is the number of cores
        if "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(threads)
        keep_freed_memory()
        fix_arithmetic()

    def instantiate_classes(self) -> None:
        """Build data, network, task and Trainer; an argument that one of them refuses becomes one line."""
        config = self.config[self.subcommand]
        try:
            self._build(config)
        except (ValueError, TypeError, MisconfigurationException, ImportError, ArgumentError) as error:
            augmentation = None if self.building == "model" else wrong_element(config.data)
            raise UsageError(augmentation or refusal(root(error), config.as_dict(), self.building)) from error
        except OSError as error:
            raise TrialFailed(f"{error.filename or self.folder}: {error.strerror or one_line(error)}") from error
        devices, nodes = self.trainer.num_devices, self.trainer.num_nodes
        launched = torch.distributed.is_available() and torch.distributed.is_torchelastic_launched()
        if launched and devices * nodes != int(os.environ["WORLD_SIZE"]):
            raise UsageError(
                "--trainer.devices times --trainer.num_nodes must be the number of processes that torchrun starts, "
                f"{os.environ['WORLD_SIZE']}: got {devices} and {nodes}"
            )
        if self.subcommand == "fit":
            check_batch(self.datamodule, devices * nodes)

    def _build(self, config: Namespace) -> None:
        """Build in the order in which one tells the other: the data the network, the network the task."""
        try:
            self.config_init = self.parser.instantiate(self.config)  # the Trainer's own: callbacks, loggers, plugins
        except Exception as error:
            if not isinstance(root(error), ModuleNotFoundError):
                raise
            argument = "callbacks" if config.trainer.logger in (None, True, False) else "logger"
            raise UsageError(f"--trainer.{argument}: {one_line(root(error))}") from error
        self.building = "data"
        self.datamodule = build(LightningDataModule, config.data)
        facts = facts_of(self.datamodule)
        if self.checkpoint is not None:
            check_facts(Path(config.ckpt_path), self.checkpoint, class_name(config.data.class_path), facts)
        self.building = "model"
        name = class_name(config.model.class_path)
        net = build_network(config.model, facts)
        self.building = None
        said = fill(net, self.weights, name) if self.weights is not None else ""
        self.model = build(Task, config.task, net=net, **_wanted(config.task.class_path, facts))
        self.trainer = self.instantiate_trainer()
        if said and self.trainer.is_global_zero:
            print(said, flush=True)
        self._settle_identity(config)
        try_on_one_batch(self.model, self.datamodule, name)
        if not config.model.class_path.startswith("lit_models."):  # the suite's own are known to be kept
            check_kept(lambda: build_network(config.model, facts), self.model, self.datamodule, name)
        if self.trainer.precision == "64-true":  # Lightning does so after a checkpoint is read, then rounded to float32
            self.model.double()
        on_gpu = isinstance(self.trainer.accelerator, CUDAAccelerator)
        if on_gpu and getattr(self.datamodule, "memory_format", "contiguous") == "channels_last":
            lay_channels_last(net)
        if config.compile != "no":
            fuse(net, config.compile)

    def _settle_identity(self, config: Namespace) -> None:
        """Add to what the trial is what it runs on, where that changes what is learnt; compare it if it goes on."""
        self.resolved |= of_the_devices(self.resolved, self.trainer, self.model)
        if isinstance(checkpoints := self.trainer.strategy.checkpoint_io, SafeCheckpointIO):
            origin: dict[str, Any] = {part: config[part].as_dict() for part in PARTS}
            origin |= {"facts": facts_of(self.datamodule), "config": self.resolved, "seed": config.seed_everything}
            checkpoints.tell({**origin, "precision": self.trainer.precision})
        if self.subcommand == "fit" and self.checkpoint is not None:
            check_same_trial(Path(config.ckpt_path), self.checkpoint, self.resolved, config.seed_everything)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Add the callbacks and the logger of a trial."""
        config = self.config_init[self.subcommand]
        folder = Path(config.trainer.default_root_dir)
        seeds = EpochSeed(config.seed_everything)
        added: list[Callback] = [LastBatch(), TestShare(), Labelled(), seeds, Termination(), FiniteLoss()]
        shown = any(isinstance(callback, ProgressBar) for callback in listed(config.trainer.callbacks))
        if config.trainer.enable_progress_bar in (None, True) and not shown:
            added.append(TQDMProgressBar() if sys.stdout.isatty() else LineProgress())
        if self.subcommand == "fit" and not config.trainer.fast_dev_run:
            best = Best(folder / "checkpoints", self.model.monitor, self.model.mode)
            history = History(folder / "checkpoints")
            self.recorder = Recorder(folder, self.resolved, config.seed_everything, best, history)
            added += [Preview(folder), best, history, self.recorder]
        self.trainer_defaults["callbacks"] = added
        if config.trainer.logger in (None, True):
            log = self.subcommand == "fit" and not (self.check_only or config.trainer.fast_dev_run)
            told = folder, config.seed_everything, self.resolved, self.resumes
            kwargs["logger"] = tracking.TrialLogger(*told) if log else False
        plugins = listed(config.trainer.plugins)
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            kwargs["plugins"] = [*plugins, SafeCheckpointIO(folder)]
        return super().instantiate_trainer(**kwargs)

    def after_fit(self) -> None:
        """Test the best checkpoint once; the recorder then writes the record."""
        if self.config.fit.trainer.fast_dev_run:  # keeps no checkpoint and no record
            self.trainer.test(self.model, datamodule=self.datamodule, verbose=False)
            return
        self.recorder.recall()
        if not self.recorder.history.epochs or self.recorder.best.score is None:
            raise UsageError(
                "no epoch was trained and validated, so there is nothing to test: "
                "see trainer.max_epochs, trainer.max_steps and trainer.limit_*"
            )
        best = self.recorder.best.path
        open_checkpoint(best, self.config.fit.model.class_path)  # which says in one line that it is damaged
        self.trainer.test(self.model, datamodule=self.datamodule, ckpt_path=str(best), verbose=False)
        path = self.recorder.folder / records.FILE_NAME
        for logger in self.trainer.loggers if self.trainer.is_global_zero else []:  # which has written the record
            if isinstance(logger, tracking.TrialLogger):
                # here and not in the callback: a process that ddp_spawn started knows the run's folder wrongly
                logger.attach(path, scalars(records.read(path)))

    def _run_subcommand(self, subcommand: str) -> None:
        """Train or test; what the machine lacks becomes one line."""
        if self.check_only:
            return
        if subcommand == "fit" and self.trainer.is_global_zero and not self.config.fit.trainer.fast_dev_run:
            self.made, made = (), self.made  # what lies there may be another's
            self.lock = folders.take(self.folder)
            self.made = made
            if self.measures:
                precision.settle(self.config.fit.trainer, self.trainer, self.model, self.datamodule, self.resolved)
        of_ours = subcommand == "test" and isinstance(self.model, Classifier | Inpainter)
        shows = of_ours and self.config_init[subcommand].verbose
        if shows:  # Lightning's own table has every number once for each test loader
            self.config_init[subcommand].verbose = False
        try:
            super()._run_subcommand(subcommand)
        except ModuleNotFoundError as error:
            raise UsageError(f"--trainer.callbacks: {one_line(error)}") from error
        except OSError as error:
            raise TrialFailed(f"{error.filename or self.folder}: {error.strerror or one_line(error)}") from error
        except (MemoryError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise TrialFailed(f"out of memory{smaller(self.config[subcommand].as_dict())}") from error
            if self.trainer.world_size > 1 and is_of_a_lost_process(error):
                raise TrialFailed("another process of this trial ended; what it said stands above") from error
            raise
        if shows and self.trainer.is_global_zero:
            for name, value in self.model.test_report.items():
                if isinstance(value, int | float):
                    print(f"{name} {value}", flush=True)

    def _options(self) -> list[str]:
        """Return the options of the subcommand ``fit``."""
        return list(self._parser("fit")._option_string_actions)


def _wanted(task: str, facts: dict[str, int]) -> dict[str, int]:
    """Return the facts of the data that a task has an argument for: the number of classes, if any."""
    return {name: value for name, value in facts.items() if name in inspect.signature(named(task)).parameters}
