"""Training: the training step, the loop, checkpoints, and the decisions before step 0."""
