"""Methods that learn a model of the task and plan through it."""
