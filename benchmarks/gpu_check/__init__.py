"""What the suite does on a GPU, right and how fast: ``make gpu-check``, or ``python -m benchmarks.gpu_check --help``.

It needs neither network nor data: images are drawn. Stages that only ask what is right run side by side, those that
take times one after the other, each in a process forked from one that has imported everything, as a sweep's trials are;
a stage that hangs is ended and loses only what it had not said yet. Everything said is kept as it comes.
"""
