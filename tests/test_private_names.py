"""The private parts of libraries that the suite leans on, all of them here: a library that drops one is found out."""

import ast
import inspect
from pathlib import Path

import jsonargparse
import pytest
import torch
import wandb
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from torch import nn
from torchmetrics import MeanMetric

from tests.conftest import ROOT

# name: an object that has it, and what it is used for
PRIVATE = {
    "_parse_ckpt_path": (LightningCLI, "overridden: a checkpoint is checked, and read as data"),
    "_run_subcommand": (LightningCLI, "overridden: what the machine lacks becomes one line"),
    "_parser": (LightningCLI, "the options that an error message may suggest"),
    "_option_string_actions": (jsonargparse.ArgumentParser(), "the same"),
    "_trainer": (LightningModule(), "whether there is a Trainer: LightningModule.trainer raises where there is none"),
    "_compiled_call_impl": (nn.Module(), "whether a network was compiled in place"),
    "_C": (torch, "whether a transform of torch.func is under way: its operators' gradients have none"),
    "_are_functorch_transforms_active": (torch._C, "the same"),
    "_len_torch_dispatch_stack": (torch._C, "whether a mode of PyTorch is to see batch norm's operations one by one"),
    "_forward_hooks": (nn.Module(), "whether something watches a batch norm: then the module is called as it is"),
    "_forward_pre_hooks": (nn.Module(), "the same"),
    "_backward_hooks": (nn.Module(), "the same"),
    "_backward_pre_hooks": (nn.Module(), "the same"),
    "_has_any_global_hook": (nn.modules.module, "whether something watches all modules"),
    "_current_level": (torch.autograd.forward_ad, "whether forward-mode differentiation is"),
    "_inductor": (torch, "whether a compiled network rounds as the plain one does"),
    "_is_amx_tile_supported": (torch.cpu, "whether bfloat16 is fast"),
    "_is_avx512_bf16_supported": (torch.cpu, "the same"),
    "_wandb_init": (WandbLogger(offline=True), "what Lightning gives to wandb.init"),
    "_experiment": (WandbLogger(offline=True), "the run, which the suite starts itself"),
    "_broadcast_sigterm_tensor": (_TrainingEpochLoop, "left out: before each step it waits for the GPU"),
    "_attach_id": (inspect.getsource(WandbLogger), "whether another process has started it"),
    "_defaults": (MeanMetric(), "with what metrics begin: kept in float32 when a task is converted"),
    "_service_api": (inspect.getsource(wandb.Api), "a query that the public client has no word for"),
}
FILES = [path for room in ("headtohead", "lit_models", "datamodules") for path in sorted((ROOT / room).rglob("*.py"))]


@pytest.mark.parametrize("name", PRIVATE)
def test_the_library_still_has_it(name):
    owner = PRIVATE[name][0]  # or its source, where only what runs would have it
    assert name in owner if isinstance(owner, str) else hasattr(owner, name)


def test_no_other_is_used():
    assert {name for path in FILES for name in foreign(path)} - set(PRIVATE) == set()


def foreign(path: Path) -> set[str]:
    """Return the private attributes that a file reads and does not define."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    attributes = [node for node in nodes if isinstance(node, ast.Attribute)]
    read = {node.attr for node in attributes if isinstance(node.ctx, ast.Load)}
    own = {node.attr for node in attributes if isinstance(node.ctx, ast.Store)}
    own |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    own |= {node.target.id for node in nodes if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
    private = {name for name in read if name.startswith("_") and not name.startswith("__")}
    return private - own - {"_exit"}  # os._exit, which is documented
