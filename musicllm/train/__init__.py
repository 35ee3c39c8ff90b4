"""Training: module, loss, optimizer, schedule, checkpoints and the plan."""
