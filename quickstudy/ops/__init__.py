"""Pure functions of one stream or one example, checked by hand."""
