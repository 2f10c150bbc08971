"""One step of training, and the two engines that run it. The only folder that imports JAX."""
