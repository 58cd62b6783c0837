"""What people look at: the report page and card of a run, and the explorer."""
