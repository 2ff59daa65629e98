"""What ``sweep.py`` is made of: reading a W&B sweep file, and running a trial in a process of its own."""
