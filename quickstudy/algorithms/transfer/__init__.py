"""Methods that carry value functions over from task to task."""
