"""A Trainer that shows and keeps nothing, and what a test by it reports."""

import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader, TensorDataset


def quiet(**arguments):
    silent = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return Trainer(**silent, enable_checkpointing=False, accelerator="cpu", **arguments)


def report_of(task, images, labels=None, batch_size=3, loaders=2):
    """Return what the test of a task reports of images; a classifier turns those of a second loader by every angle."""
    labels = torch.zeros(len(images), dtype=torch.int64) if labels is None else labels
    loader = DataLoader(TensorDataset(images, labels), batch_size)
    quiet().test(task, [loader] * loaders, verbose=False)
    return task.test_report
