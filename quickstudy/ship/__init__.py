"""After training: an agent that is run step by step, stored, and exported."""
