"""Checks results and speed on a GPU: ``make gpu-check``, or ``python -m benchmarks.gpu_check --help``.

It needs neither network nor data: images are drawn. Stages that ask what is right run side by side; those that take
times run one after the other. Each has a process of its own, forked from one that has imported everything, as a sweep's
trials are. A stage that hangs is ended and loses only what it had not said yet: everything said is kept as it comes.
"""
