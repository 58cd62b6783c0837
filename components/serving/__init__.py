"""From the store to the listener: the follower, and the server over it."""
