"""Control problems whose physics differ from task to task."""
