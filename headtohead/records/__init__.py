"""The record of a trial: its schema, the metrics in it, its validation. It imports no room but cli."""
