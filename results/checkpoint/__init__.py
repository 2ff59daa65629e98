"""Pictures of a trained network.

The one folder of this room that opens a model; the others know records alone, and need no torch.
"""
