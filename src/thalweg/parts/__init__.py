"""What a spec can name: layers, losses, optimizers, schedules, initializers and the settings of a training."""
