"""Controls and reference learners, behind the same interface as the methods that meta-learn."""
