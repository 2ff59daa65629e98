"""What all commands share: one-line errors, argument parsing, output that outlives its reader."""
