"""What people look at: the report page of a run."""
