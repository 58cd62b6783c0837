"""Tables: what they hold, where they come from, how they are cleaned and turned into features."""
