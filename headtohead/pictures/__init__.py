"""Pictures of a trained network: its filters, feature maps and involution kernels."""
