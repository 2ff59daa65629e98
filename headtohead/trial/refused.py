"""Callbacks and loggers of Lightning's that a trial refuses, and why."""

BASE = "is there to be subclassed"
# They would do nothing, or make another number than the record says.
REFUSED = {
    "BackboneFinetuning": "trains a part that is named backbone, which no network has here",
    "BaseFinetuning": BASE,
    "BasePredictionWriter": BASE,
    "BatchSizeFinder": "makes the batch size a matter of the machine: give --data.batch_size",
    "Callback": BASE,
    "Checkpoint": BASE,
    "LambdaCallback": "takes functions, which a command line cannot give",
    "LearningRateFinder": "trains before the training: give --task.lr, or a sweep over it",
    "Logger": BASE,
    "ModelPruning": "leaves layers whose weights cannot be built again when a trial goes on",
    "OnExceptionCheckpoint": "has nothing to keep: last.ckpt is written after every epoch",
    "ProgressBar": BASE,
    "SpikeDetection": "fails where a trial goes on: a loss that is no number ends every trial anyway",
    "StochasticWeightAveraging": "averages weights that are never validated: EMAWeightAveraging's are",
    "ThroughputMonitor": "takes functions, which a command line cannot give",
    "Timer": "is --trainer.max_time: give that",
}
