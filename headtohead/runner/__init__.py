"""A sweep on this machine: reads a W&B sweep file and runs each trial in a process of its own."""
