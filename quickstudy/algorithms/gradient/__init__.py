"""Methods whose inner loop is policy gradient: what a task teaches is in the policy's parameters."""
