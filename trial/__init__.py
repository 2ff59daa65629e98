"""What a trial needs beside its model and its data: callbacks, the W&B logger, error messages, the record."""
