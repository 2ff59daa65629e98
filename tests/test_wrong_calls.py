"""Wrong calls of every command: each ends with one line that names the argument, and leaves nothing behind."""

import re
from pathlib import Path

import pytest
import torch

from headtohead.report import main as report
from headtohead.runner import main as sweep
from headtohead.trial import main as train
from tests.conftest import ROOT
from tests.datamodules.published import Malicious
from tests.tiny import TINY

FIT = ["fit", "--model=EqCNN", *TINY, "--trainer.max_epochs=2", "--trainer.accelerator=cpu"]
MAINS = {"train.py": train.main, "sweep.py": sweep.main, "report.py": report.main}

DATA = "there are CIFAR10, CIFAR100, FashionMNIST, ImageFolder, MNIST, RotatedMNIST"
WRAPS = "is a task, which wraps a network: give the network as --model and the task as --task"
NETWORK = "nn.Module, nor a function whose return type is one"
MOVED = "the recipe belongs to the task since the second edition: --task"
RECIPE = {"lr": 1, "optimizer": "sgd", "schedule": "cosine", "weight_decay": 0, "momentum": 0}

# for train.py: what is added to FIT, and what is said
ADDED = {
    # models and data
    "--model=": "--model: no model is named ''; there are CNN, ",
    "--model=EqCN": "--model: no model is named 'EqCN'; did you mean EqCNN?",
    "--model=eqcnn": "did you mean EqCNN?",
    "--model=Ünïcode": "--model: no model is named 'Ünïcode'",
    "--model=../../x": "--model: no model is named '../../x'",
    "--model=[1]": f"--model: [1] is no {NETWORK}; there are CNN, ",
    "--model=os.system": f"--model: os.system is no {NETWORK}",
    "--model=torch.nn.Linear": "--model: Linear needs in_features, out_features",
    "--model=null": "--model is required: one of CifarCNN, ",
    "--model=lit_models.Nope": "--model: no model is named 'lit_models.Nope' (module 'lit_models' has no attribute",
    "--model=nowhere.Net": "--model: no model is named 'nowhere.Net' (No module named 'nowhere')",
    "--model=torch.nn.Module": "--model: Module has no forward; there are CNN, ",
    "--model=Task": f"--model: Task {WRAPS}",
    "--model=Classifier": f"--model: Classifier {WRAPS}",
    "--model=own.Mine": f"--model: Mine {WRAPS}",  # a user's subclass
    "--model=own.Old": f"--model: Old {WRAPS}",  # as the first edition had them
    "--model": "--model needs a value",
    "--data=": f"--data: no data is named ''; {DATA}",
    "--data=torch.nn.Linear": f"--data: torch.nn.Linear is no LightningDataModule; {DATA}",
    "--data=CIFAR-10": "--data: no data is named 'CIFAR-10'; did you mean CIFAR10?",
    "--data=ImageDataModule": f"--data: ImageDataModule has no images; {DATA}",
    # the task
    "--task=": "--task: no task is named ''; there are Classifier, Inpainter",
    "--task=Clasifier": "--task: no task is named 'Clasifier'; did you mean Classifier?",
    "--task=Task": "--task: Task is there to be subclassed; there are Classifier, Inpainter",
    "--task=torch.nn.Linear": "--task: torch.nn.Linear is no Task; there are Classifier, Inpainter",
    "--task=Inpainter": "--task: Inpainter needs a network whose forward takes images and a mask",
    "--task=null": "--task: must not be null; Classifier is the default",
    "--task": "--task needs a value",
    "--task.lrr=1": "--task.lrr: Classifier has no such argument; did you mean --task.lr?",
    "--task.net=3": "--task.net: Classifier has no such argument; there are --task.optimizer, --task.lr, ",
    "--task.num_classes=3": "--task.num_classes: comes from the data",
    # what the first edition had, in other places
    **{f"--model.{name}={value}": f"--model.{name}: {MOVED}.{name}" for name, value in RECIPE.items()},
    "--config=recipe.yaml": f"--model.lr: {MOVED}.lr",
    "--model.in_channels=0": "--model.in_channels: comes from the data",
    "--config=facts.yaml": "--model.in_channels: comes from the data",
    # the recipe
    "--task.lr=.nan": "--task.lr must be a positive number: got nan",
    "--task.lr=1e400": "--task.lr must be a positive number: got inf; 0.001 is the default",
    "--task.lr=0": "--task.lr must be a positive number: got 0.0",
    "--task.lr=": "--task.lr: must be float: got nothing",
    "--task.lr=null": "--task.lr: must not be null; 0.001 is the default",
    "--task.lr=[0.1]": "--task.lr: must be float: got [0.1]",
    "--task.lr=fast": "--task.lr: must be float: got fast",
    "--model.lrr=1": "--model.lrr: EqCNN has no such argument; did you mean --task.lr?",
    "--lr=1": "--lr: no such argument; did you mean --task.lr?",
    "--task.weight_decay=-1": "--task.weight_decay must be 0 or more: got -1.0",
    "--task.momentum=1": "--task.momentum must lie in [0, 1): got 1.0",
    "--task.schedule=cosin": "did you mean cosine?",
    "--task.optimizer=adamm": "--task.optimizer: must be one of adamw, adam, sgd, rmsprop: got adamm; did you mean",
    "--model.width=0": "--model.width must be at least 1: got 0",
    "--model.width=8.5": "--model.width: must be int: got 8.5",
    "--model.width=99999999999": "--model.width: must be at most 2147483647",
    "--model.kernel_size=3": "--model.kernel_size: EqCNN has no such argument; there are --model.width",
    "--model.dict_kwargs.x=1": "--model.x: EqCNN.__init__() got an unexpected keyword argument 'x'",
    # the data
    "--data.batch_size=0": "--data.batch_size must be at least 1: got 0",
    "--data.batch_size=1.5": "--data.batch_size: must be int: got 1.5",
    "--data.batch_size=1000000000000000000000": "--data.batch_size: must be at most 2147483647",
    "--data.batchsize=3": "did you mean --data.batch_size?",
    "--batch_size=3": "--batch_size: no such argument; did you mean --data.batch_size?",
    "--data.val_size=0": "--data.val_size must be at least 1: got 0",
    "--data.val_size=600": "data.val_size must leave training images: got 600 of 600",
    "--data.normalize=maybe": "--data.normalize: must be bool: got maybe",
    "--data.augment=crop": "--data.augment: must be one of default, none",
    "--data.memory_format=nhwc": "--data.memory_format: must be one of channels_last, contiguous",
    "--data.augment=Flip": "did you mean flip?",
    "--data.augment=null": "--data.augment: must not be null; default is the default",
    "--data.data_dir=[1]": "--data.data_dir: must be str: got [1]",
    # the Trainer
    "--trainer.max_epochs=0": "--trainer.max_epochs: must be at least 1: got 0",
    "--trainer.max_epochs=-1": "schedule=cosine needs an end",
    "--trainer.max_epochs=99999999999999999999": "--trainer.max_epochs: must be at most 2147483647",
    "--trainer.max_epoch=3": "--trainer.max_epoch: no such argument; did you mean --trainer.max_epochs?",
    "--max_epochs=3": "--max_epochs: no such argument; did you mean --trainer.max_epochs?",
    "--trainer.max_steps=0": "--trainer.max_steps: must be at least 1: got 0",
    "--trainer.max_time=soon": "--trainer.max_time: `Trainer(max_time='soon')` is not a valid duration",
    "--trainer.min_epochs=-1": "--trainer.min_epochs: must be at least 0: got -1",
    "--trainer.precision=17": "--trainer.precision: must be one of 64, 32, 16",
    "--trainer.precision=half": "--trainer.precision: must be ",
    "--trainer.precision=bf16-mixd": "did you mean bf16-mixed?",
    "--trainer.devices=0": "--trainer.devices: `Trainer(devices='0')` value is not a valid input",
    "--trainer.devices=-1": "--trainer.devices: `devices` selected with `CPUAccelerator` should be an int > 0: got -1",
    "--trainer.devices=two": "should be an int > 0: got two; the default is auto",
    "--trainer.devices=[]": "--trainer.devices: `Trainer(devices=[])` value is not a valid input",
    "--trainer.devices=100000": "--trainer.devices: must be at most ",
    "--trainer.accelerator=gpux": "--trainer.accelerator: there is no 'gpux' on this machine; there are auto, ",
    "--trainer.accelerator=": "--trainer.accelerator: there is no '' on this machine",
    "--trainer.strategy=dpp": "--trainer.strategy: there is no 'dpp' on this machine; did you mean ddp?",
    "--trainer.strategy=deepspeed": "--trainer.strategy: ",
    "--trainer.num_nodes=0": "--trainer.num_nodes: `num_nodes` must be a positive integer",
    "--trainer.callbacks=NoSuch": "--trainer.callbacks: no callback is named 'NoSuch'; there are ",
    "--trainer.callbacks=EarlyStoping": "did you mean EarlyStopping?",
    "--trainer.callbacks=EarlyStopping": "--trainer.callbacks: EarlyStopping needs monitor",
    "--trainer.callbacks+=Foo": "--trainer.callbacks: no callback is named 'Foo'",
    "--trainer.logger=NoLogger": "--trainer.logger: no logger is named 'NoLogger'; did you mean CometLogger?",
    "--trainer.profiler=none": "--trainer.profiler: ",
    "--trainer.plugins=x": "--trainer.plugins: no plugin is named 'x'",
    "--trainer.limit_train_batches=-1": "--trainer.limit_train_batches: ",
    "--trainer.limit_train_batches=0": "--trainer.limit_train_batches: must be more than 0",
    "--trainer.limit_val_batches=0": "--trainer.limit_val_batches: must be more than 0",
    "--trainer.limit_test_batches=0": "--trainer.limit_test_batches: must be more than 0",
    "--trainer.overfit_batches=-1": "--trainer.overfit_batches: ",
    "--trainer.val_check_interval=0": "--trainer.val_check_interval: must be more than 0",
    "--trainer.val_check_interval=2.5": "--trainer.val_check_interval: ",
    "--trainer.check_val_every_n_epoch=0": "--trainer.check_val_every_n_epoch: must be at least 1: got 0",
    "--trainer.check_val_every_n_epoch=5": "--trainer.check_val_every_n_epoch: must be at most max_epochs, 2: got 5",
    "--trainer.log_every_n_steps=-1": "--trainer.log_every_n_steps: must be at least 0: got -1",
    "--trainer.num_sanity_val_steps=-7": "--trainer.num_sanity_val_steps: must be at least -1: got -7",
    "--trainer.accumulate_grad_batches=0": "--trainer.accumulate_grad_batches: must be at least 1: got 0",
    "--trainer.gradient_clip_val=-1": "--trainer.gradient_clip_val: must be at least 0: got -1",
    "--trainer.gradient_clip_algorithm=foo": "--trainer.gradient_clip_algorithm: ",
    "--trainer.deterministic=perhaps": "--trainer.deterministic: must be bool or one of warn: got perhaps",
    "--trainer.benchmark=5": "--trainer.benchmark: must be bool: got 5",
    "--trainer.fast_dev_run=-1": "--trainer.fast_dev_run: ",
    "--trainer.enable_checkpointing=false": "--trainer.enable_checkpointing: ",
    "--trainer.barebones=true": "--trainer.barebones: ",
    "--trainer.default_root_dir=": "--trainer.default_root_dir: must be a folder: got nothing",
    "--trainer.foo=1": "--trainer.foo: no such argument",
    "--trainer=Foo": "--trainer: must be a mapping, or a file that holds one: got Foo",
    # the rest
    "--seed_everything=-1": "--seed_everything: must be a whole number from 0 to 4294967295: got -1",
    "--compile=fast": "--compile: must be one of no, default, reduce-overhead, max-autotune: got fast",
    "--seed_everything=99999999999999999999999": "--seed_everything: must be a whole number from 0 to 4294967295",
    "--seed_everything=1.5": "--seed_everything: must be bool or int: got 1.5",
    "--seed_everything=false": "--seed_everything: must be a whole number",
    "--seed_everything=true": "--seed_everything: must be a whole number from 0 to 4294967295: got True",
    "--seed_everything=null": "--seed_everything: must be bool or int: got None",
    "--seed=3": "--seed: no such argument; did you mean --seed_everything?",
    "--ckpt_path=none.ckpt": "--ckpt_path: no file none.ckpt",
    "--ckpt_path=best": "--ckpt_path: must be a file",
    "--ckpt_path=.": "--ckpt_path: no file .",
    "--ckpt_path=binary.ckpt": "--ckpt_path: binary.ckpt is not a checkpoint that can be used",
    "--ckpt_path=cut.ckpt": "--ckpt_path: cut.ckpt is not a checkpoint that can be used",
    "--ckpt_path=tensor.ckpt": "--ckpt_path: tensor.ckpt is not a checkpoint that can be used",
    "--ckpt_path=code.ckpt": "--ckpt_path: code.ckpt is not a checkpoint that can be used: it holds more than weights",
    "--ckpt_path=other.ckpt": "--ckpt_path: other.ckpt holds a SimpleCNN: --model=EqCNN cannot be filled from it",
    "--ckpt_path=first.ckpt": "--ckpt_path: first.ckpt was written by the first edition, ",
    "--ckpt_path=list.ckpt": "--ckpt_path: list.ckpt is not a checkpoint of this suite",
    "--ckpt_path=taskless.ckpt": "--ckpt_path: taskless.ckpt is not a checkpoint of this suite",
    "--ckpt_path=popen.ckpt": "--ckpt_path: popen.ckpt was trained in the task Popen: got --task=Classifier",
    "--ckpt_path=nested.ckpt": "--ckpt_path: nested.ckpt is not a checkpoint of this suite",
    "--ckpt_path=code.ckp": "--ckpt_path: no file code.ckp; did you mean code.ckpt?",
    "--weights_only=false": "--weights_only: must be true",
    "--weights_only=x": "--weights_only: must be bool: got x",
    "--config": "--config needs a value",
    "--config=": "--config: must be a mapping",
    "--config=.": "--config: Path is not a file",
    "--config=none.yaml": "--config: File does not exist",
    "--config=binary.yaml": "--config: not a configuration: 'utf-8' codec can't decode",
    "--config=empty.yaml": "--config: must be a mapping, or a file that holds one: got nothing",
    "--config=list.yaml": "--config: must be a mapping, or a file that holds one: got - 1",
    "--config=open.yaml": "--config: not valid YAML: ",
    "--config=code.yaml": "--config: not valid YAML: ",
    "--config=typo.yaml": "--datta: no such argument",
    "--config=model.yaml": "--model: no model is named 'EqCN'; did you mean EqCNN?",
    "words": "words: no such argument",
    "task.lr=3": "task.lr: no such argument; did you mean --task.lr?",
    "--Task.lr=3": "--Task.lr: no such argument; did you mean --task.lr?",
    "-x": "-x: no such argument",
}  # fmt: skip
WHOLE = (
    ([], "a subcommand must come first"),
    (["fut"], "no subcommand 'fut'; did you mean fit?"),
    (["train"], "no subcommand 'train'; there are fit, "),
    (["--model=EqCNN"], "--model: no such argument; it belongs after fit"),
    (["--help-me"], "--help-me: no such argument; did you mean --help?"),
    (["fit", *TINY], "--model is required: one of CifarCNN, "),
    (["fit", "--model=EqCNN"], "--data is required: one of CIFAR10, "),
    (["test", *FIT[1:], "--ckpt_path=none.ckpt"], "--ckpt_path: no file none.ckpt"),
    (["validate", *FIT[1:], "--task.lr=-1"], "--task.lr must be a positive number"),
    (["fit", "--model=ConvMixer", *TINY, "--model.width=2147483647"], "--model: does not fit into memory: lower data."),
    (["fit", "--model=ResNet", *TINY, "--model.operator=foo"], "--model.operator: must be one of conv, "),
    (["fit", "--model=ConvUNet", *TINY], "inpainting needs images in [0, 1]"),
    (["fit", "--model=PConvUNet", *TINY, "--data.normalize=true"], "set data.normalize=false"),
)  # fmt: skip
GOOD = """program: train.py
method: grid
parameters:
  model: {values: [SimpleCNN, EqCNN]}
  data: {value: tests.tiny.Tiny}
  data.val_size: {value: 100}
  seed_everything: {values: [0, 1]}
command: ["${env}", "${interpreter}", "${program}", fit, "${args}"]
"""
# for sweep.py: what is changed in GOOD, and what is said
CHANGED = (
    ("{values: [0, 1]}", "{min: 0, max: 100000000000}", "at most 100,000 can be run"),
    ("{value: 100}", "{value: !!python/object/apply:os.system [touch pwned]}", "not valid YAML"),
    ("  data:", "\tdata:", "not valid YAML"),
    ("program:", "\0program:", "not valid YAML"),
    ("{value: 100}", "{value: 2026-13-01}", "not valid YAML: month must be in 1..12"),
)  # fmt: skip
# the same, where train.py's own parser is asked
ASKED = (
    ("{value: 100}", "{values: [0, 50]}", "val_size must be at least 1: got 0"),  # a constructor's words
    ("tests.tiny.Tiny", "../../x", f"parameters.data: no data is named '../../x'; {DATA}"),
    ("seed_everything", "seed", "parameters.seed: no such argument; did you mean --seed_everything?"),
    ("[0, 1]", "[-1, 0]", "parameters.seed_everything: must be a whole number"),
    ("data.val_size: {value: 100}", "ckpt_path: {value: none.ckpt}", "parameters.ckpt_path: no file none.ckpt"),
    ("data.val_size: {value: 100}", "config: {value: none.yaml}", "parameters.config: File does not exist"),
    ("data.val_size: {value: 100}", "trainer.max_epochs: {value: '2; ls'}", "parameters.trainer.max_epochs: must be"),
)  # fmt: skip
NAMED = (
    ("sweep.py", ["none.yaml"], "none.yaml: No such file or directory"),
    ("sweep.py", ["."], ".: Is a directory"),
    ("sweep.py", ["/dev/zero"], "/dev/zero: must be a file"),
    ("sweep.py", [], "the following arguments are required: file"),
    ("sweep.py", ["binary.yaml"], "binary.yaml: not a text file"),
    ("sweep.py", ["empty.yaml"], "this one is empty"),
    ("sweep.py", ["list.yaml"], "this one is a list"),
    ("sweep.py", ["laughs.yaml"], "its aliases stand for"),
    ("sweep.py", ["good.yaml", "--jobs=0"], "--jobs: must be 1 to "),
    ("sweep.py", ["good.yaml", "--jobs=100000"], "--jobs: must be 1 to "),
    ("sweep.py", ["good.yaml", "--jobs=two"], "--jobs: invalid int value: 'two'"),
    ("sweep.py", ["good.yaml", "--jobs"], "--jobs: expected one argument"),
    ("sweep.py", ["good.yaml", "--job=1"], "--job: no such argument; did you mean --jobs?"),
    ("sweep.py", ["good.yaml", "--dryrun"], "--dryrun: no such argument; did you mean --dry-run?"),
    ("sweep.py", ["good.yaml", "empty.yaml"], "empty.yaml: no such argument"),
    ("report.py", [], "RUNS: no folder runs; run a sweep first"),
    ("report.py", ["none"], "RUNS: no folder none; run a sweep first"),
    ("report.py", ["folder"], "RUNS: no records in folder; run a sweep first"),
    ("report.py", ["broken"], "no trial that can be used"),
    ("report.py", ["folder", "--out"], "--out: expected one argument"),
    ("report.py", ["folder", "--outt=x"], "--outt: no such argument; did you mean --out?"),
    ("report.py", ["folder", "other"], "other: no such argument"),
    ("report.py", [str(ROOT / "results" / "plain_vs_equivariant"), "--out=list.yaml"], "list.yaml"),
)  # fmt: skip


OWN = """from lit_models import Classifier, Task

class Mine(Task):
    pass

class Old(Classifier):
    def __init__(self, in_channels: int = 1, image_size: int = 28, num_classes: int = 10, **recipe):
        super().__init__(in_channels, image_size, num_classes, **recipe)
"""


@pytest.fixture
def files(workplace):
    """Wrong files of every kind."""
    parts = {"state_dict": {}, "trial": {"model": {"class_path": "lit_models.SimpleCNN"}}}
    model, task = ({"class_path": f"lit_models.{name}"} for name in ("EqCNN", "Classifier"))
    popen = {"class_path": "subprocess.Popen", "init_args": {"args": ["touch", "pwned"]}}
    for name, content in (
        ("tensor", torch.zeros(3)),
        ("code", {**parts, "state_dict": Malicious(Path("pwned"))}),
        ("other", parts),
        ("first", {"state_dict": {}, "hyper_parameters": {"_class_path": "lit_models.EqCNN"}}),
        ("nested", {"state_dict": {}, "trial": {"model": {**model, "init_args": {"width": popen}}, "task": task}}),
        ("list", {"state_dict": {}, "trial": {"model": {"class_path": ["lit_models.EqCNN"]}, "task": task}}),
        ("taskless", {"state_dict": {}, "trial": {"model": model}}),
        ("popen", {"state_dict": {}, "trial": {"model": model, "task": popen}}),
        ("cut", parts),
    ):
        torch.save(content, f"{name}.ckpt")
    cut = Path("cut.ckpt")
    cut.write_bytes(cut.read_bytes()[:-200])
    Path("binary.ckpt").write_bytes(bytes(range(256)) * 9)
    Path("binary.yaml").write_bytes(bytes(range(256)) * 9)
    laughs = "a: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    laughs += "".join(f"b{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9))
    texts = {
        "empty": "",
        "list": "- 1\n- 2\n",
        "open": "{a: [",
        "typo": "model: EqCNN\ndatta: MNIST\n",
        "laughs": laughs,
        "recipe": "model: {class_path: EqCNN, init_args: {lr: 0.1}}\n",
        "facts": "model: {class_path: EqCNN, init_args: {in_channels: 3}}\n",
    }
    texts |= {"model": "model: EqCN\n", "code": "model: !!python/object/apply:os.system [touch pwned]\n", "good": GOOD}
    for name, text in texts.items():
        Path(f"{name}.yaml").write_text(text)
    for name, content in (("binary", b"\xff\0"), ("text", b"no"), ("list", b"[]"), ("other", b'{"schema": 1}')):
        trial = Path("broken") / name
        trial.mkdir(parents=True)
        (trial / "record.json").write_bytes(content)
    (Path("broken") / "folder" / "record.json").mkdir(parents=True)
    Path("folder").mkdir()
    Path("own.py").write_text(OWN)
    return workplace


def refused(capfd, folder, command, args, said):
    before = sorted(folder.rglob("*"))
    try:
        code = MAINS[command](args)
    except SystemExit as end:  # of argparse
        code = end.code
    printed = capfd.readouterr().err
    lines = [line for line in printed.splitlines() if line.startswith((f"{command}: ", "broken: "))]
    assert code == 2, printed
    assert len(lines) == 1 or ".yaml" in said + str(args) or args == ["broken"], printed  # all that is wrong at once
    assert any(said in line for line in lines), printed
    assert "Traceback" not in printed
    assert not re.search(r"<class|NestedArg|Namespace|Union|object at 0x", printed)
    assert sorted(folder.rglob("*")) == before


def some(cases, share):
    """Run one in ``share`` always, and all with the slow tests."""
    marks = [[] if index % share == 0 else pytest.mark.slow for index in range(len(cases))]
    return [pytest.param(*case, marks=mark) for case, mark in zip(cases, marks, strict=True)]


@pytest.mark.parametrize(("argument", "said"), some(list(ADDED.items()), 5))
def test_train_with_a_wrong_argument(files, capfd, argument, said):
    refused(capfd, files, "train.py", [*FIT, argument], said)


@pytest.mark.parametrize(("args", "said"), some(WHOLE, 5))
def test_train_called_wrongly(files, capfd, args, said):
    refused(capfd, files, "train.py", args, said)


@pytest.mark.parametrize(("old", "new", "said"), CHANGED)
def test_a_wrong_sweep_file(files, capfd, old, new, said):
    assert old in GOOD
    Path("good.yaml").write_text(GOOD.replace(old, new, 1))
    refused(capfd, files, "sweep.py", ["good.yaml"], said)


@pytest.mark.parametrize(("old", "new", "said"), some(ASKED, 9))
def test_a_sweep_file_that_train_refuses(files, asked_here, capfd, old, new, said):
    assert old in GOOD
    Path("good.yaml").write_text(GOOD.replace(old, new, 1))
    refused(capfd, files, "sweep.py", ["good.yaml"], said)


@pytest.mark.parametrize(("command", "args", "said"), NAMED)
def test_sweep_and_results_called_wrongly(files, capfd, command, args, said):
    refused(capfd, files, command, args, said)
