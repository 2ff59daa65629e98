"""One trial: command line, callbacks, W&B logger, error messages, the measurements that become the record."""
