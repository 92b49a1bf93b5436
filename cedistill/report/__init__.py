"""Tables of what studies found."""
