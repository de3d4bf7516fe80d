"""Methods whose inner loop changes a context: hidden state, belief or posterior."""
