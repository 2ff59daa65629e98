"""Compares architectures head to head: runs trials and sweeps, keeps their records, reports who is better."""
